"""Tables on standard output."""

from collections.abc import Sequence

from jaxrnn.runs.claims import Claim, claims_table


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str) -> None:
    """Prints `title`, and `rows` under `columns`; numbers come formatted."""
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    print(f"\n{title}")
    _print(table)


def print_claims(claims: Sequence[Claim]) -> None:
    """Prints each claim with what was observed and whether it holds."""
    if claims:
        _print(claims_table(claims))


def _print(table: object) -> None:
    from rich.console import Console

    console = Console()
    # into a file or a pipe a table is as wide as it needs to be
    console.print(table) if console.is_terminal else Console(width=160).print(table)
