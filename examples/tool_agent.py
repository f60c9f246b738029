"""An agent with 500 tools: for each message the router picks the five that its model gets to see.

The model is scripted, so that everything here runs without one. Put a request to yours where
`model` is: it takes `selection.schemas("openai")` as its tools.

python examples/tool_agent.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentmem import Selection, ToolRouter

VERBS = {  # what a verb does, and the arguments it takes
    "create": ("Create", "name: What to call it; details: All that should be in it"),
    "find": ("Search for", "query: Words to look for; limit: How many results at most"),
    "update": ("Change", "name: Which one; changes: What should be different"),
    "delete": ("Delete", "name: Which one; reason: Why it goes"),
    "send": ("Send", "recipient: Who gets it; name: Which one; note: A line to go with it"),
    "book": ("Book and pay for", "when: Day and time; where: Place, or from where to where"),
    "cancel": ("Cancel", "name: Which one; reason: What to tell the others"),
    "get": ("Show the current", "place: City, room or account; day: Which day"),
    "compare": ("Compare over time", "place: City, room or account; days: How many days back"),
    "export": ("Export as a file", "name: Which one; format: csv or pdf"),
    "watch": ("Get a message on changes of", "place: City, room or account; until: Last day"),
    "set": ("Turn on, off, up or down", "room: Which room; value: New setting"),
}
SERVICES = """
accounting create find update export: expense, receipt, budget, tax return, bank transfer
archive find get export delete: contract, certificate, patent, blueprint, court file
billing create find send cancel: invoice, refund, subscription, discount code, payment reminder
calendar create find update cancel: meeting, reminder, deadline, day off, phone call
chat create find send delete: channel, message, poll, announcement, voice note
clinic book find update cancel: doctor's appointment, blood test, vaccination, X-ray, prescription
code create find update delete: pull request, bug report, branch, release, code review
courses book find cancel export: language lesson, first aid course, webinar, exam, workshop
energy get compare watch export: electricity use, gas use, solar yield, power price, water use
fitness create get compare export: workout, step count, sleep record, heart rate, running route
fleet book find get cancel: company car, cargo bike, delivery van, charging slot, parking space
garden get watch set compare: soil moisture, sprinkler, greenhouse vent, compost heat, pond pump
hiring create find update export: job opening, applicant, job interview, job offer, reference
home get set watch compare: thermostat, lamp, window blind, door lock, smoke detector
library find book update export: book loan, reading list, newspaper article, map, audiobook
mail create find send delete: letter, draft, newsletter, parcel label, mailing list
music find create update delete: playlist, song, concert recording, podcast, radio station
news find get watch export: headline, press release, fact check, opinion poll result, obituary
payroll create find update export: payslip, bonus, sick note, overtime record, pension statement
restaurant book find update cancel: dinner table, catering order, lunch box, tasting menu, picnic
security get find watch export: login attempt, camera recording, virus scan, badge, audit log
stocks get compare watch export: share price, dividend, exchange rate, bond yield, fund value
support create find update export: ticket, complaint, customer survey, warranty claim, help article
travel book find update cancel: flight, train ticket, hotel room, ferry crossing, travel insurance
weather get compare watch export: forecast, storm warning, tide table, pollen count, air quality
"""

# What people asked last week, and the tool it took: enough to know when nothing fits.
LAST_WEEK = """
stocks_get_exchange_rate: What does a euro cost in yen?
clinic_book_doctors_appointment: I want to see a doctor on Monday.
code_find_bug_report: Any bugs reported about the login page?
courses_find_language_lesson: Which lessons in Danish are there?
energy_get_electricity_use: How much power did we use in May?
fitness_get_sleep_record: I slept badly, look it up.
fleet_book_delivery_van: I need a van on Thursday to move a sofa.
garden_get_soil_moisture: Is the soil in the greenhouse dry?
hiring_create_job_opening: Put up an ad for a new cook.
home_set_lamp: Dim the lamp in the hall.
library_find_book_loan: Is there a book by Lessing to borrow?
mail_create_letter: Write Bruno a letter about the delay.
music_create_playlist: Put together some songs for dinner.
payroll_create_sick_note: I have the flu, tell the office.
restaurant_book_dinner_table: A table for six on Saturday night.
security_get_login_attempt: Who tried to log in last night?
travel_book_flight: Fly me to Oslo on the ninth.
weather_get_tide_table: When is high tide in Brest?
calendar_update_meeting: Move my meeting with Ines to four.
none: Are you conscious?
none: How many legs does a spider have?
none: Do you like cats?
none: Thank you!
none: How tall is Mount Everest?
"""

TALK = [  # what the user says, and the tool it takes: called if the model is offered it
    ("Please send Ines the invoice for the workshop.", "billing_send_invoice"),
    ("Now get me to the customer in Porto: a train ticket for Friday.", "travel_book_train_ticket"),
    ("And somewhere to sleep there, a hotel room for two nights.", "travel_book_hotel_room"),
    ("Will I need an umbrella when I arrive?", "weather_get_forecast"),
    ("Who wrote Middlemarch?", None),
    ("Turn the thermostat in the bedroom down.", "home_set_thermostat"),
    ("Will I need an umbrella on Saturday as well?", "weather_get_forecast"),
    ("The train is full. Cancel my ticket.", "travel_cancel_train_ticket"),
]


def catalogue() -> Iterator[dict[str, Any]]:
    """Give 500 definitions: 25 services, each with four verbs for five things."""
    for line in SERVICES.strip().splitlines():
        head, things = line.split(": ")
        service, *verbs = head.split()
        for thing in things.split(", "):
            written = thing.replace("'", "").replace(" ", "_")
            for verb in verbs:
                does, arguments = VERBS[verb]
                yield {
                    "name": f"{service}_{verb}_{written}",
                    "description": f"{does}: {thing}, in the {service} system.",
                    "parameters": {"type": "object", "properties": dict(properties(arguments))},
                }


def properties(arguments: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the JSON Schema of each argument."""
    for argument in arguments.split("; "):
        name, description = argument.split(": ")
        yield name, {"type": "string", "description": description}


def calibrate(router: ToolRouter) -> None:
    """Fit when to say that nothing fits, on what people asked last week."""
    lines = [line.split(": ") for line in LAST_WEEK.strip().splitlines()]
    labels = [None if tool == "none" else tool for tool, _ in lines]
    fitted = router.calibrate([query for _, query in lines], labels, alpha=0.1)
    print(f"Abstains below a confidence of {fitted.threshold:.2f}: {fitted.reason}.")


def model(selection: Selection, *, wants: str | None) -> str | None:
    """Stand in for a language model: call the right tool if it is among those offered."""
    return wants if wants in selection.names else None


def turn(router: ToolRouter, message: str, *, wants: str | None, said: list[Any]) -> Selection:
    """Answer one message: select, call, report how it went, and remember it."""
    selection = router.select(message, k=5, history=said)
    called = model(selection, wants=wants)
    if selection.abstained:
        print(f"  no tool: {selection.reason}")
    else:
        print(f"  offered {', '.join(selection.names)}")
        print(f"  called  {called or 'none of them'}")
    # What was right in the end: the user says so, or the agent looked at selection.candidates.
    router.feedback(selection, used=wants, succeeded=True if called else None, by="example")
    said.append({"role": "user", "content": message})
    if called:
        said.append({"role": "assistant", "tool_calls": [{"function": {"name": called}}]})
    return selection


def main() -> None:
    """Talk to an agent with 500 tools, and count what it did not have to send."""
    with tempfile.TemporaryDirectory() as folder, ToolRouter.open(Path(folder) / "a.mem") as router:
        change = router.register(catalogue())
        print(f"Registered {len(change.added)} tools.")
        calibrate(router)
        said: list[Any] = []
        sent = saved = 0
        for message, wants in TALK:
            print(f"\nUser: {message}")
            selection = turn(router, message, wants=wants, said=said)
            print(f"  {selection.tokens:,} tokens of definitions instead of ", end="")
            print(f"{selection.tokens + selection.tokens_saved:,}")
            sent, saved = sent + selection.tokens, saved + selection.tokens_saved
        print(f"\n{len(TALK)} messages: {sent:,} tokens sent, {saved:,} saved.")


if __name__ == "__main__":
    main()
