"""`fleet campaigns`: hold one back until its release.

A pause is for what went wrong, and is `fleet pause --campaign`; a hold is for what is not to begin yet. Each ends by
its own word, so that nobody who resumes lets a campaign go that waits for its client.
"""

from datetime import datetime
from uuid import UUID

import click

from console.cli.ledger import actor
from console.cli.moment import Until
from console.cli.pauses import go_on, stand_still
from console.cli.speech import FleetGroup
from outbox.pauses import Kind, Said
from outbox.scopes import Scope


@click.command()
@click.argument("campaign_id", metavar="ID", type=click.UUID)
@click.option("--why", required=True, help="For whoever asks why nothing goes out.")
@click.option("--until", type=Until(), help="It is released by itself: in 2h, 30m, 7d, or at a date.")
@click.option("--json", "as_json", is_flag=True)
def hold(campaign_id: UUID, why: str, until: datetime | None, as_json: bool) -> None:
    """Hold a campaign back.

    What is inserted into it waits until its release.
    """
    stand_still(Said(Kind.HOLD, Scope(campaign_id=campaign_id), actor(), why), until, as_json=as_json)


@click.command()
@click.argument("campaign_id", metavar="ID", type=click.UUID)
@click.option("--why", default="no reason was given")
@click.option("--json", "as_json", is_flag=True)
def release(campaign_id: UUID, why: str, as_json: bool) -> None:
    """Let go out what is held back."""
    go_on(Said(Kind.HOLD, Scope(campaign_id=campaign_id), actor(), why), as_json=as_json)


campaigns = FleetGroup("campaigns", help="Hold campaigns back, and release them.", commands=[hold, release])
