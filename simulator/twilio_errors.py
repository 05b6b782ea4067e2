"""Twilio's error codes that the simulator answers with: the HTTP status and a sentence for each.

Data only. Source: twilio.com/docs/api/errors/<code>, one page a code. 20001 also stands where Twilio would ignore an
unknown parameter or has no documented code for a malformed one.
"""

from simulator.vendor import Refusal

_ERRORS: dict[int, tuple[int, str]] = {
    20001: (400, "Unknown or malformed parameter: {detail}."),
    20003: (401, "Authentication failed."),
    20404: (404, "The resource {detail} was not found."),
    20429: (429, "Too many requests."),
    20500: (500, "Internal server error."),
    21201: (400, "No 'To' number was given."),
    21205: (400, "No usable 'Url', 'Twiml' or 'ApplicationSid' was given."),
    21211: (400, "The 'To' number is not a valid phone number."),
    21212: (400, "The 'From' number is not a valid phone number, short code or sender id."),
    21213: (400, "No 'From' number was given."),
    21214: (400, "The 'To' number cannot be reached."),
    21215: (400, "The account may not call the region of the 'To' number."),
    21216: (400, "The account may not call the 'To' number."),
    21217: (400, "The 'To' number does not look like a phone number."),
    21408: (400, "Messages to the region of the 'To' number are not enabled."),
    21602: (400, "A message needs a body or media."),
    21603: (400, "A 'From' number or a messaging service is required."),
    21604: (400, "A 'To' number is required."),
    21606: (400, "The 'From' number belongs to no account or cannot send messages."),
    21609: (400, "The 'StatusCallback' is not a valid URL."),
    21610: (400, "The recipient has unsubscribed from this sender."),
    21611: (400, "The queue of the 'From' number is full."),
    21612: (400, "The 'To' number cannot be reached from this sender."),
    21614: (400, "The 'To' number is not a mobile number."),
    21617: (400, "The body exceeds 1600 characters."),
    21620: (400, "A 'MediaUrl' is not a valid URL."),
    21623: (400, "A message takes at most ten 'MediaUrl'."),
    21626: (400, "A 'StatusCallbackEvent' is not known."),
    35111: (400, "A scheduled message needs 'SendAt'."),
    35114: (400, "'SendAt' must be 300 seconds to 35 days away, in UTC."),
    35118: (400, "A scheduled message needs a messaging service."),
}


def refusal(code: int, detail: str = "") -> Refusal:
    """Return the refusal with this code; `detail` names what is meant where the sentence asks for it."""
    status, message = _ERRORS[code]
    return Refusal(status, code, message.format(detail=detail))
