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
            PageSection("What to do", _actions(reports)),
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
            spec=stacked_bars(STORE, films, status, order=["in stock", "on loan", "lost", "not stocked"]),
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


def _actions(reports: ReportReader) -> list[Chart]:
    """Copies to move before any are bought, to buy, and to write off."""
    gain = ChartColumn("expected_extra_revenue", "Expected extra revenue ($)", Kind.MONEY)
    to_move = reports.read(
        "copies_to_move",
        ["title", "category", "from_store_name", "to_store_name", "copies_to_move", "expected_extra_revenue"],
        order="expected_extra_revenue desc, title, from_store_name, to_store_name",
        limit=LISTED,
    )
    to_buy = reports.read(
        "films_to_restock",
        [
            *("store_name", "title", "category", "copies", "rentals", "unavailable_pct", "copies_to_buy"),
            *("expected_extra_revenue", "cost", "payback_days"),
        ],
        where=f"restock_rank <= {LISTED}",
        order="restock_rank",
    )
    lost = reports.read(
        "lost_copies",
        ["store_name", "inventory_id", "title", "customer_id", "days_overdue", "replacement_cost"],
        where=f"value_rank <= {LISTED}",
        order="value_rank",
    )
    out = reports.read(
        "stock_unavailability",
        ["title", "store_name", "copies", "rentals", "unavailable_days", "unavailable_pct", "spare_copies"],
        where="unavailable_days > 0",
        order="unavailable_days desc, rentals desc, film_id, store_id",
        limit=LISTED,
    )
    store, unavailable = (
        ChartColumn("store_name", "Store"),
        ChartColumn("unavailable_pct", "Unavailable (%)", Kind.PERCENT),
    )
    return [
        Chart(
            "unavailable_films",
            "Which films could customers not get?",
            f"Time of the last 90 days in which every copy of a store was out; at most {LISTED} rows.",
            out,
            [
                *(TITLE, store, COPIES, RENTALS),
                ChartColumn("unavailable_days", "Days without a copy", Kind.NUMBER),
                unavailable,
            ],
        ),
        Chart(
            "copies_to_move",
            "Which copies should move to another store?",
            f"The largest gain first, at most {LISTED}. Moving comes before buying.",
            to_move,
            [
                *(TITLE, ChartColumn("from_store_name", "From"), ChartColumn("to_store_name", "To")),
                *(ChartColumn("copies_to_move", "Copies", Kind.COUNT), gain),
            ],
        ),
        Chart(
            "copies_to_buy",
            "Which films should be bought?",
            f"What moving does not solve and pays back within a year, at most {LISTED} rows.",
            to_buy,
            [
                *(
                    TITLE,
                    store,
                    COPIES,
                    RENTALS,
                    unavailable,
                    ChartColumn("copies_to_buy", "To buy", Kind.COUNT),
                ),
                *(
                    gain,
                    ChartColumn("cost", "Cost ($)", Kind.MONEY),
                    ChartColumn("payback_days", "Days to pay back", Kind.COUNT),
                ),
            ],
        ),
        Chart(
            "lost_copies",
            "Which copies are lost?",
            f"Out for so long that they count as lost, the most valuable first, at most {LISTED}.",
            lost,
            [
                *(
                    ChartColumn("inventory_id", "Copy"),
                    TITLE,
                    store,
                    ChartColumn("customer_id", "Customer number"),
                ),
                ChartColumn("days_overdue", "Days overdue", Kind.COUNT),
                ChartColumn("replacement_cost", "Value ($)", Kind.MONEY),
            ],
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
        *("stock_unavailability", "copies_to_move", "lost_copies"),
    ),
    build=build,
)
