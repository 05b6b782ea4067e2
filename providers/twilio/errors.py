"""What Twilio's error codes mean, as data.

Sources: twilio.com/docs/api/errors/<code> of each; 20429 ("never processed and always safe to retry") and 20500
("POST requests are not idempotent") decide what may be sent again. An unknown code goes by its HTTP status.
"""

from providers.answers import ErrorTable
from providers.base import Halted, Later, Rejected, Stopped, Unknown

_NUMBER = "correct the recipient's number"
_SENDER = "correct the sender's number in the Twilio settings"
_OURS = "correct the payload"

ERRORS: ErrorTable = {
    20003: (Halted, "the account SID or the auth token is wrong"),
    20005: (Halted, "the Twilio account is not active"),
    20004: (Halted, "the address of the API is wrong"),
    20404: (Halted, "the address of the API or the account SID is wrong"),
    20429: (Later, "too many requests for the account"),
    20500: (Unknown, "Twilio had an internal error"),
    20503: (Unknown, "Twilio was not available"),
    90010: (Halted, "the Twilio account is not active"),
    # recipients
    21211: (Rejected, _NUMBER),
    21214: (Rejected, "the number cannot be reached; " + _NUMBER),
    21216: (Rejected, "calls to this number are not allowed"),
    21217: (Rejected, _NUMBER),
    21604: (Rejected, "the recipient is missing"),
    21610: (Stopped, "the recipient has replied STOP to this sender"),
    21612: (Rejected, "this sender cannot reach the recipient's carrier"),
    21614: (Rejected, "the number is no mobile number"),
    63003: (Rejected, _NUMBER),
    63024: (Rejected, _NUMBER),
    # recipients whom this account may not reach, while it may reach others
    13227: (Rejected, "allow calls to this country in Twilio's geographic permissions"),
    21215: (Rejected, "allow calls to this country in Twilio's geographic permissions"),
    21408: (Rejected, "allow messages to this country in Twilio's geographic permissions"),
    21219: (Rejected, "a trial account reaches verified numbers only"),
    21608: (Rejected, "a trial account reaches verified numbers only"),
    # content
    21602: (Rejected, "the text is empty"),
    21617: (Rejected, "the text has more than 1600 characters"),
    21619: (Rejected, "the message has neither text nor media"),
    21620: (Rejected, "a media address is not valid"),
    21609: (Rejected, _OURS),
    21205: (Rejected, "the address of the call's instructions is not valid"),
    12100: (Rejected, "the call's instructions are not valid TwiML"),
    35111: (Rejected, _OURS),
    35114: (Rejected, _OURS),
    35115: (Rejected, _OURS),
    35118: (Rejected, _OURS),
    # senders, caps
    21210: (Halted, _SENDER),
    21212: (Halted, _SENDER),
    21603: (Halted, "the sender is missing in the Twilio settings"),
    21606: (Halted, "the sender's number cannot send messages; " + _SENDER),
    21659: (Halted, "the sender is no Twilio number, or a short code of another country; " + _SENDER),
    21660: (Halted, "the sender's number is another account's; " + _SENDER),
    21661: (Halted, "the sender's number cannot send messages; " + _SENDER),
    21703: (Halted, "the messaging service has no sender"),
    21704: (Halted, "the messaging service has no sender"),
    21705: (Halted, "the messaging service is not valid"),
    63001: (Halted, _SENDER),
    63007: (Halted, _SENDER),
    35125: (Halted, "the account has too many scheduled messages"),
    63038: (Halted, "the account's daily number of messages is used up"),
    # not created, because a queue is full
    21611: (Later, "the sender's queue is full"),
    22005: (Later, "the account's queue of calls is full"),
}
COUNTRY_ERRORS = frozenset({"21212", "21606", "21659"})
"""Those that a short code or a name as the sender also gets for a recipient in a country that it does not reach."""
NOT_FOUND = 20404
"""Of one message or call it says that its record was deleted, and nothing of the account."""
