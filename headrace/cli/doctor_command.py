"""``headrace doctor``: look at everything that a run needs."""

import asyncio
from typing import TYPE_CHECKING

import click

from contract.settings import load_settings
from headrace.cli.exit_code import ExitCode
from headrace.cli.output import give, give_json, say
from headrace.session import open_session

if TYPE_CHECKING:
    from headrace.doctor import Finding


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor_command(*, as_json: bool) -> int:
    """Check settings, servers, model and workers, and say what to do about what is wrong."""
    # Imported once it is needed: it takes seconds, for which --help need not wait.
    from headrace.doctor import examine  # noqa: PLC0415

    with open_session(load_settings(), say) as session:
        findings = asyncio.run(examine(session))
    if as_json:
        give_json([finding.as_dict() for finding in findings])
    else:
        give("\n".join(_line(finding) for finding in findings))
    if any(finding.verdict == "unreachable" for finding in findings):
        return ExitCode.UNREACHABLE
    if any(finding.verdict == "wrong" for finding in findings):
        return ExitCode.WRONG_USE
    return ExitCode.DONE


def _line(finding: "Finding") -> str:
    advice = f"\n            {finding.advice}" if finding.advice else ""
    return f"{finding.verdict:<11} {finding.subject}: {finding.message}{advice}"
