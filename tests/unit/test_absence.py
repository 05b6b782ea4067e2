"""A server that is away is no flood of lines."""

from structlog.testing import capture_logs

from scheduler.absence import Absence


def test_it_says_when_a_server_goes_and_when_it_is_back() -> None:
    absence = Absence("redis", loop="relay")
    with capture_logs() as lines:
        absence.over()
        for _ in range(2):
            for _ in range(50):
                absence.noticed(ConnectionError("at a secret address"))
            absence.over()
            absence.over()
    gone = {"event": "redis_away", "error": "ConnectionError", "loop": "relay", "log_level": "warning"}
    back = {"event": "redis_back", "loop": "relay", "log_level": "info"}
    assert lines == [gone, back, gone, back]
