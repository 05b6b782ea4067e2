"""Puts the vendors and the doors for tests together into one web application.

The paths of the three vendors do not collide, so that one base URL serves them all. A new vendor is one line here.
"""

from aiohttp import web

from simulator.callback_control import CallbackControl
from simulator.control import Control
from simulator.resend_read import ResendRead
from simulator.resend_send import ResendSend
from simulator.simulation import Options, Simulation
from simulator.twilio_calls import TwilioCalls
from simulator.twilio_messages import TwilioMessages
from simulator.vapi import Vapi

# Resend takes 40 MB with attachments.
_MOST_BYTES = 48 * 2**20

PARTS = (ResendSend, ResendRead, TwilioMessages, TwilioCalls, Vapi)


def create_app(options: Options | None = None) -> web.Application:
    """Return the application with fresh state."""
    simulation = Simulation(options or Options())
    app = web.Application(client_max_size=_MOST_BYTES)
    for part in PARTS:
        app.add_routes(part(simulation).routes())
    for door in (Control, CallbackControl):
        app.add_routes(door(simulation).routes())

    async def stop_calling_back(_app: web.Application) -> None:
        await simulation.callbacks.close()

    app.on_cleanup.append(stop_calling_back)
    return app
