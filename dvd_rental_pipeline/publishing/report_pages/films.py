"""The page Films and stock: what is rented, what is in stock, and what to do about it."""

from collections.abc import Mapping

from dvd_rental_pipeline.publishing.report_pages.charts import GREEN, PURPLE, bars, stacked_bars
from dvd_rental_pipeline.publishing.report_pages.content import (
    Chart,
    ChartColumn,
    Content,
    Dataset,
    Kind,
    PageDeclaration,
    PageSection,
    Value,
)
from dvd_rental_pipeline.publishing.report_pages.parts import (
    ALL_STORES,
    ranked_store_filter,
    stacked,
    store_names,
    with_constant,
    with_store_names,
)
from dvd_rental_pipeline.publishing.report_pages.reports import ReportReader

SHOWN = 20
LISTED = 200
STORE = ChartColumn("store", "Store")
TITLE = ChartColumn("title", "Film")
CATEGORY = ChartColumn("category", "Genre")
RENTALS = ChartColumn("rentals", "Rentals", Kind.COUNT)
REVENUE = ChartColumn("revenue", "Revenue ($)", Kind.MONEY)
COPIES = ChartColumn("copies", "Copies", Kind.COUNT)


def build(reports: ReportReader) -> Content:
    """Rankings of genres, ratings, films and actors for each store; availability; what to buy and to sell."""
    stores = store_names(reports)
    return Content(
        as_of=reports.as_of(),
        filters=[ranked_store_filter(stores)],
        sections=[
            PageSection("What is rented", _rankings(reports, stores)),
            PageSection("Stock", _stock(reports, stores)),
        ],
        limits="Rankings are over all time; a rental counts for the store that owns the copy. An actor is "
        "credited with all rentals of each film, so the sum over actors exceeds the total.",
    )


def _rankings(reports: ReportReader, stores: Mapping[Value, str]) -> list[Chart]:
    def ranking(whole: str, by_store: str, name: str, shown: bool) -> Dataset:
        columns = [name, "rentals", "revenue"]
        where = f"rental_rank <= {SHOWN}" if shown else ""
        total = reports.read(whole, columns, where=where, order="rental_rank")
        each = reports.read(by_store, ["store_id", *columns], where=where, order="store_id, rental_rank")
        return stacked(by_store, with_constant(total, "store", ALL_STORES), with_store_names(each, stores))

    actor, rating = ChartColumn("actor_name", "Actor"), ChartColumn("rating", "Age rating")
    return [
        Chart(
            "top_films",
            "Which films are rented most?",
            "Rentals.",
            ranking("top_films", "film_performance_by_store", "title", True),
            [TITLE, RENTALS, REVENUE],
            spec=bars(TITLE, RENTALS, [REVENUE]),
            filters=["store"],
            is_key=True,
        ),
        Chart(
            "top_actors",
            "Which actors attract customers?",
            "Rentals of their films.",
            ranking("top_actors", "actor_performance_by_store", "actor_name", True),
            [actor, RENTALS, REVENUE],
            spec=bars(actor, RENTALS, [REVENUE], color=PURPLE),
            filters=["store"],
        ),
        Chart(
            "genres",
            "Which genres are rented most?",
            "Rentals.",
            ranking("genre_performance", "genre_performance_by_store", "category", False),
            [CATEGORY, RENTALS, REVENUE],
            spec=bars(CATEGORY, RENTALS, [REVENUE], color=GREEN),
            filters=["store"],
        ),
        Chart(
            "ratings",
            "Which age ratings are rented most?",
            "Rentals.",
            ranking("rating_performance", "rating_performance_by_store", "rating", False),
            [rating, RENTALS, REVENUE],
            spec=bars(rating, RENTALS, [REVENUE], color=GREEN),
            filters=["store"],
        ),
    ]


def _stock(reports: ReportReader, stores: Mapping[Value, str]) -> list[Chart]:
    availability = with_store_names(
        reports.summarize("film_availability", ["store_id", "status"], ["copies", "available"], count="films"),
        stores,
    )
    status, films = ChartColumn("status", "State"), ChartColumn("films", "Films", Kind.COUNT)
    to_buy = with_store_names(
        reports.read(
            "films_to_restock",
            ["store_id", "title", "category", "copies", "rentals", "copies_to_buy"],
            where=f"restock_rank <= {LISTED}",
            order="restock_rank",
        ),
        stores,
    )
    idle = with_store_names(
        reports.summarize(
            "idle_copies", ["store_id", "category"], ["replacement_cost", "rentals"], count="copies"
        ),
        stores,
    )
    return [
        Chart(
            "availability",
            "How many films can be rented now?",
            "Films by state and store.",
            availability,
            [STORE, status, films, COPIES, ChartColumn("available", "Available copies", Kind.COUNT)],
            spec=stacked_bars(STORE, films, status, order=["in stock", "on loan", "missing", "not stocked"]),
        ),
        Chart(
            "copies_to_buy",
            "Which films should be bought?",
            f"One row per film and store, the most urgent first, at most {LISTED}.",
            to_buy,
            [TITLE, STORE, CATEGORY, COPIES, RENTALS, ChartColumn("copies_to_buy", "To buy", Kind.COUNT)],
        ),
        Chart(
            "idle_copies",
            "Where do copies stand idle?",
            "Copies that were never or rarely rented, over all time.",
            idle,
            [CATEGORY, COPIES, ChartColumn("replacement_cost", "Value ($)", Kind.MONEY), RENTALS],
            spec=bars(CATEGORY, COPIES, [ChartColumn("replacement_cost", "Value ($)", Kind.MONEY)]),
            group=["category"],
            sums=["copies", "replacement_cost", "rentals"],
            order="-copies",
        ),
    ]


FILMS = PageDeclaration(
    name="films",
    title="Films and stock",
    question="What is rented, what is in stock, and what should be bought, moved or sold?",
    owner="inventory",
    consumer="stock_planning",
    reports=(
        *("top_films", "film_performance_by_store", "top_actors", "actor_performance_by_store"),
        *(
            "genre_performance",
            "genre_performance_by_store",
            "rating_performance",
            "rating_performance_by_store",
        ),
        *("film_availability", "films_to_restock", "idle_copies", "sales_by_store"),
    ),
    build=build,
)
