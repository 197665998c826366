"""The report pages, in the order of the navigation."""

from collections.abc import Sequence

from dvd_rental_pipeline.publishing.report_pages.content import PageDeclaration
from dvd_rental_pipeline.publishing.report_pages.customers import CUSTOMERS
from dvd_rental_pipeline.publishing.report_pages.executive import EXECUTIVE
from dvd_rental_pipeline.publishing.report_pages.films import FILMS
from dvd_rental_pipeline.publishing.report_pages.product_sales import PRODUCT_SALES
from dvd_rental_pipeline.publishing.report_pages.sales import SALES
from dvd_rental_pipeline.publishing.report_pages.service import SERVICE
from dvd_rental_pipeline.publishing.report_pages.wholesale import WHOLESALE

REPORT_PAGES: Sequence[PageDeclaration] = (
    EXECUTIVE,
    SALES,
    CUSTOMERS,
    FILMS,
    SERVICE,
    WHOLESALE,
    PRODUCT_SALES,
)
