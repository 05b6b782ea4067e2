"""Figures of a campaign as processes keep them, one scheduler of two killed on the way, and what the vendor counted."""

from benchmarks.running import until
from tests.acceptance.conftest import Scene, at_work
from tests.factories import insert
from tests.integration.test_campaign_metrics import campaign, workspace_of

MESSAGES = 200


def test_figures_come_to_what_the_vendor_counted(scene: Scene) -> None:
    campaign_id = campaign(scene.owner)
    own = workspace_of(scene.owner, campaign_id)
    other = scene.fleet.start("other", "scheduler")
    at_work(scene, "email")
    for _ in range(MESSAGES):
        insert(scene.owner, "email", campaign_id=campaign_id, workspace_id=own)
    until(lambda: scene.owner.execute("SELECT count(*) FROM campaign_metrics").fetchone() == (1,))
    other.kill()
    until(lambda: scene.all_are("sent", "delivered"))

    query = "SELECT sent_count FROM campaign_metrics WHERE campaign_id = %s AND data_mode = 'real'"
    until(lambda: scene.owner.execute(query, (campaign_id,)).fetchall() == [(MESSAGES,)])

    assert len(scene.accepted()) == MESSAGES
