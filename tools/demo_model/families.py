"""The functions that agents declare, as a table: how they are called and described, their arguments, their results.

A family has many names, descriptions, argument names and results, of which each declaration takes some; what people say to
it is in wordings/functions.txt. need: how a request is refused when nothing that is declared can do it.
"""

import json
from dataclasses import dataclass

import world as W
from phrasing import in_words, name_of_something, phrase, quoted, word


def city(r):
    return r.choice(W.CITIES) if r.random() < 0.5 else name_of_something(r) if r.random() < 0.85 else f"New {name_of_something(r)}"


def person(r):
    return r.choice(W.NAMES) if r.random() < 0.6 else name_of_something(r)


def upto(most, least=1):
    return lambda r: r.randrange(least, most + 1)


def one_of(*values):
    return lambda r: r.choice(values)


def path(r):
    folders = "".join(word(r) + "/" for _ in range(r.choice([0, 0, 0, 1, 2])))
    return folders + word(r) + "." + r.choice("txt md log csv py json pdf cc html yaml doc png".split())


def folder(r):
    return "/".join(r.choice(["src", "docs", "tests", "data", "build", word(r), word(r), word(r)]) for _ in range(r.choice([1, 1, 2])))


def title(r):
    return " ".join(word(r).capitalize() for _ in range(r.choice([1, 1, 2, 3])))


def symbol(r):
    return "".join(r.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(r.choice([2, 3, 3, 4, 4, 4])))


def clock(r):
    return f"{r.randrange(24):02}:{r.randrange(60):02}"


def identifier(r):
    return r.choice([str(r.randrange(1, 100000)), symbol(r) + str(r.randrange(1000)), str(r.randrange(1, 1000))])


def expression(r):
    return f"{r.randrange(10, 5000)} {r.choice('+-*')} {r.randrange(10, 1000)}"


def command(r):
    return " ".join([r.choice("ls make git python cat grep echo mkdir npm cargo rm sh".split()), *(word(r) for _ in range(r.choice([0, 1, 1, 2])))])


def url(r):
    return r.choice(["", "www.", "https://"]) + word(r) + r.choice([".com", ".org", ".net", ".de"]) + r.choice(["", "", "/" + word(r)])


ROOMS = one_of(*"kitchen bedroom bathroom hall garage cellar attic garden office nursery library lobby".split(), "living room", "dining room", "guest room")
CURRENCIES = "dollars euros pounds yen francs crowns pesos rupees dinars lira rubles won zloty USD EUR GBP JPY CHF".split()
LANGUAGES = "Dutch Polish Swedish Greek Turkish Finnish Czech Danish Italian Hungarian Latin Korean Arabic Norwegian".split()


def text(r):
    return phrase(r, 4)


@dataclass
class Argument:
    names: list
    descriptions: list
    draw: object
    kind: str = "string"
    values: tuple = ()  # of an enum
    spoken: bool = False  # a text that people may put into quotes
    inside: str = ""  # the object that holds it
    optional: bool = False

    def schema(self, r):
        out = {"type": self.kind}
        if self.descriptions and r.random() < 0.75:
            out["description"] = r.choice(self.descriptions)
        if self.values:
            out["enum"] = list(self.values)
        return out

    def said(self, r, value, words=0.08):
        if self.spoken:
            return quoted(r, value, 0.6)
        if isinstance(value, int) and value < 100 and r.random() < words:
            return in_words(value)
        return str(value)


def argument(names, descriptions, draw, *flags, kind="string", inside=""):
    return Argument(names.split(), [d for d in descriptions.split("|") if d], draw, kind, (), "spoken" in flags, inside, "optional" in flags)


def number(names, descriptions, draw, *flags):
    return argument(names, descriptions, draw, *flags, kind="integer")


def enum(names, descriptions, values, *flags):
    a = argument(names, descriptions, one_of(*values), *flags)
    a.values = tuple(values)
    return a


def say(pattern, **draws):
    """A result of drawn values, and the sentence about it and the arguments."""

    def result(r, a):
        drawn = {k: draw(r) for k, draw in draws.items()}
        return {k.replace("_", " ").replace(" ", "_"): v for k, v in drawn.items()}, pattern.format(**{**a, **drawn})

    return result


def fields(pattern, **names):
    """As say(), the fields under one of several names: {field: (names, draw)}."""

    def result(r, a):
        drawn = {field: draw(r) for field, (_, draw) in names.items()}
        out = {r.choice(alternatives.split()): drawn[field] for field, (alternatives, _) in names.items()}
        return out, pattern.format(**{**a, **drawn})

    return result


DONE = [{"ok": True}, {"status": "ok"}, {"success": True}, {"status": "done"}, {"result": "ok"}, {"done": True}, {"status": "success"}, {"error": None, "ok": True}]


def done(*special):
    def result(r, a):
        out = dict(r.choice(DONE + [json.loads(s) for s in special] * 3))
        if r.random() < 0.15:
            out["id"] = r.randrange(1, 1000)
        said = ", ".join(str(v) for v in a.values())
        return out, f"Done: {said}." if said else "Done."

    return result


def plain_text(draw):
    """Text that is passed on as it is, alone or in a field."""

    def result(r, a):
        said = draw(r)
        kind = r.random()
        return (said if kind < 0.45 else {r.choice(["content", "text", "data", "output", "result", "answer", "body"]): said}), said

    return result


def several(r, a):
    items = [path(r).split("/")[-1] if r.random() < 0.7 else word(r) for _ in range(r.randrange(1, 5))]
    return (items if r.random() < 0.6 else {r.choice(["files", "entries", "items", "results"]): items}), ", ".join(items) + "."


def record(r, a):
    """Any fields, named as they are."""
    names = r.sample(["name", "age", "city", "status", "level", "count", "state", "size", "speed", "price", "place", "percent", "date", "color", "owner"], r.choice([1, 1, 2, 2, 3]))
    out = {k: r.choice([word(r), r.randrange(100), person(r)]) for k in names}
    return out, ", ".join(f"{k}: {v}" for k, v in out.items()) + "."


def weather(r, a):
    t, c = r.randrange(-15, 40), r.choice(W.SKIES)
    degrees, sky = r.choice(["temperature", "temperature", "temp", "degrees"]), r.choice(["condition", "condition", "sky", "weather", "conditions"])
    unit = a.get("unit", r.choice(["celsius", "celsius", "", "fahrenheit"]))
    out = {degrees: t, **({"unit": unit} if unit else {}), sky: c}
    return out, f"It is {t} degrees {unit + ' ' if unit else ''}and {c} in {a['city']}."


def calculated(r, a):
    value = eval(a["expression"])  # made by expression()
    return r.choice([{"result": value}, {"result": value}, {"value": value}, value]), f"{a['expression']} = {value}."


def looked_up(r, a):
    v, w, t = word(r), word(r), a["topic"]
    said = r.choice([f"{t} is related to {v} and {w}.", f"A {t} can be found near a {w}.", f"{t} is another word for {w}."])
    return {r.choice(["summary", "summary", "text", "article"]): said}, said[0].upper() + said[1:]


@dataclass
class Family:
    names: list
    descriptions: list
    arguments: dict
    need: str
    results: list


def family(names, descriptions, need, results, **arguments):
    return Family(names.split(), descriptions.split("|"), arguments, need, results if isinstance(results, list) else [results])


CITY = argument("city location place town city location", "The city|City name|Name of the city|The place|Which city|Where", city)
MINUTES = number("minutes delay minutes duration", "In how many minutes|Minutes|Number of minutes|How many minutes|Length in minutes", upto(99))
ROOM = argument("room place room where", "The room|Which room|Name of the room", ROOMS)
TO = argument("to recipient contact person receiver name", "The recipient|Who gets it|Recipient|Name of the person|Who it is for", person)
PATH = argument("path file filename file_path name", "Path of the file|The file|File name|Which file|Path", path)
WHOLE = argument("text content body data", "The text|What to write|Content", text, "spoken")
DAYS = tuple(W.WEEKDAYS)

FAMILIES = {
    "weather": family(
        "get_weather current_weather get_current_weather weather weather_now fetch_weather check_weather weather_lookup",
        "Gets the current weather.|Returns the weather of a place.|The weather at this moment.|Get the current weather for a city|Current weather and temperature|Looks up the weather.|Weather of today for a location.",
        "the weather", weather, city=CITY, unit=enum("unit units unit scale", "Unit of the temperature|Temperature unit", ("celsius", "fahrenheit"), "optional")),
    "forecast": family(
        "get_forecast forecast weather_forecast daily_forecast",
        "Weather forecast for several days.|Gets the forecast of the next days.|Forecasts the weather of the coming days.|Predicts the weather.",
        "a forecast", fields("The forecast for {city}: {sky}.", sky=("forecast outlook sky weather", one_of(*W.SKIES))),
        city=CITY, days=number("days count num_days period", "Number of days|How many days|Days ahead", upto(14))),
    "calculator": family(
        "calculator calculate compute evaluate math", "Evaluates an arithmetic expression.|Calculates exactly.|A pocket calculator.|Evaluates a formula.|Does arithmetic.|Computes an expression",
        "large numbers", calculated, expression=argument("expression formula input expr", "What to calculate|The expression|An expression|The formula", expression)),
    "lookup": family(
        "lookup find_article encyclopedia wiki search", "Looks up a topic.|Finds an article about a topic.|Searches the encyclopedia.|Finds an entry in the encyclopedia.",
        "an encyclopedia", looked_up, topic=argument("topic query term word", "What to look up|The topic|The term", word, "spoken")),
    "clock": family(
        "get_time current_time clock local_time time_in_city", "Gets the local time.|The time in a city.|Tells what time it is.|Current time of a place.|Looks up the time of day.|Returns the time",
        "the time", [fields("It is {t} in {city}.", t=("time time local_time now", clock)), plain_text(clock)], city=CITY),
    "reminder": family(
        "set_reminder remind add_reminder create_reminder", "Sets a reminder.|Reminds the user later.|Adds a reminder.|Creates a reminder",
        "reminders", lambda r, a: (r.choice(DONE), f"I will remind you in {a['minutes']} minutes."),
        text=argument("text message task what", "What to be reminded of|The task|What to do", lambda r: r.choice(W.CHORES) if r.random() < 0.6 else phrase(r, 3)), minutes=MINUTES),
    "translate": family(
        "translate translator translate_text translation", "Translates a text.|Turns a text into another language.|Translates a phrase.|Translate text to a language",
        "translations", lambda r, a: ({r.choice(["translation", "translation", "text", "result"]): (t := phrase(r, 2))}, f"In {a['language']}: {t}."),
        text=argument("text phrase source content", "The text|What to translate|Text to be translated", text, "spoken"),
        language=argument("language target target_language to lang", "The language to translate to|Target language|Language of the translation", one_of(*LANGUAGES))),
    "email": family(
        "send_email email send_mail compose_email mail", "Sends an email.|Writes an email to somebody.|Send an e-mail message|Mails somebody.",
        "emails", done('{"status": "sent"}', '{"sent": true}'), to=TO, subject=argument("subject title topic", "Subject line|The subject|What it is about", text, "spoken")),
    "message": family(
        "send_message send_text text_message sms send_sms notify", "Sends a text message.|Sends a short message to a person.|Texts a contact.|Send a message to someone",
        "messages", done('{"sent": true}', '{"status": "delivered"}'), to=TO, body=argument("body text message content", "The text|The message|What to say", text, "spoken")),
    "alarm": family(
        "set_alarm alarm create_alarm wake_up add_alarm", "Sets an alarm.|Wakes the user at a time.|Adds an alarm clock.|An alarm at a given time",
        "alarms", done('{"status": "set"}', '{"alarm": "set"}'), time=argument("time at when hour", "When, as HH:MM|The time|Time of the alarm|At what time", clock)),
    "timer": family(
        "start_timer timer set_timer countdown", "Starts a timer.|A countdown.|Sets a timer for some minutes.|Counts down minutes",
        "timers", done('{"status": "started"}', '{"started": true}'), minutes=MINUTES),
    "event": family(
        "create_event add_event calendar_add new_event schedule_event", "Adds an event to the calendar.|Creates a calendar event.|Puts something into the calendar.|Schedules an event",
        "the calendar", done('{"created": true}', '{"status": "created"}'), title=argument("title name event summary", "What the event is|Name of the event|The title", lambda r: phrase(r, 2), "spoken"),
        day=enum("day weekday date", "The day|Day of the week|On which day", DAYS), hour=number("hour time at start", "Hour of the day|The hour|When it begins", upto(23, 0), "optional")),
    "currency": family(
        "convert_currency exchange currency_converter convert_money exchange_rate", "Converts an amount of money.|Changes money into another currency.|Currency conversion.|Convert between currencies",
        "currencies", fields("{amount} {from} are {value} {to}.", value=("amount result value converted", upto(5000))),
        **{"amount": argument("amount value sum", "How much|The amount|Amount of money", upto(900), kind="number"),
           "from": argument("from source from_currency base", "Currency to convert from|The source currency|Currency of the amount", one_of(*CURRENCIES)),
           "to": argument("to target to_currency into", "Currency to convert to|The target currency|Wanted currency", one_of(*CURRENCIES))}),
    "stock": family(
        "get_stock_price stock_price quote get_quote share_price", "Returns the price of a stock.|Price of a share.|Looks up a stock quote.|Current stock price",
        "stock prices", [fields("{symbol} costs {price}.", price=("price value quote", upto(900))),
                         lambda r, a: ({"symbol": a["symbol"], "price": (p := r.randrange(1, 900)), "currency": (c := r.choice(["USD", "EUR", "dollars"]))}, f"{a['symbol']} costs {p} {c}.")],
        symbol=argument("symbol ticker stock share", "Ticker symbol|The symbol|The stock", symbol)),
    "search": family(
        "web_search search_web internet_search google browse", "Searches the web.|Search the internet|Finds pages on the web.|Looks something up online.",
        "the web", [several, plain_text(text)], query=argument("query q terms search_terms", "Search terms|What to search for|The query", text, "spoken"),
        limit=number("limit max_results count n", "Maximum number of results|How many results|Number of results", upto(20), "optional")),
    "music": family(
        "play_music play_song play music_player start_song", "Plays music.|Plays a song.|Starts a song.|Play a track",
        "music", done('{"status": "playing"}', '{"playing": true}'), title=argument("title song track name", "Song to play|The title|Name of the song", title, "spoken"),
        volume=number("volume level loudness", "Volume in percent|How loud|The volume", upto(100), "optional")),
    "light": family(
        "switch_light set_light light light_switch control_light toggle_light", "Turns a light on or off.|Switches the light of a room.|Controls the lights.|Light control",
        "lights", done('{"state": "changed"}', '{"switched": true}'), room=ROOM, state=enum("state mode action power", "On or off|The wanted state|New state", ("on", "off"))),
    "heating": family(
        "set_temperature set_thermostat heating thermostat heat_room", "Sets the heating of a room.|Sets the thermostat.|Changes the temperature of a room.|Controls the heating",
        "the heating", done('{"set": true}'), room=ROOM, degrees=number("degrees temperature target celsius", "Target temperature|Wanted temperature|Degrees", upto(30, 5))),
    "table": family(
        "reserve_table book_table reservation restaurant_booking make_reservation", "Reserves a table in a restaurant.|Books a table.|Makes a reservation at a restaurant.",
        "restaurant tables", done('{"confirmed": true}', '{"status": "booked"}', '{"status": "confirmed"}'), place=argument("restaurant place name where", "Name of the restaurant|The restaurant|Where", name_of_something),
        guests=number("guests people persons party_size seats", "How many people|Number of guests|Number of persons", upto(20))),
    "read": family(
        "read_file open_file cat get_file show_file file_read", "Reads a file.|Returns the content of a file.|Shows what is in a file.|Read a file from disk",
        "reading files", plain_text(text), path=PATH),
    "list": family(
        "list_files list_directory ls dir list_folder", "Lists the files in a folder.|Lists a directory.|Shows which files a folder has.",
        "listing files", several, path=argument("path folder directory dir", "The folder|The directory|Path of the folder|Which folder", folder)),
    "delete": family(
        "delete_file remove_file rm erase_file file_delete", "Deletes a file.|Removes a file from the disk.|Erases a file.",
        "deleting files", done('{"deleted": true}', '{"removed": true}', '{"status": "deleted"}'), path=PATH),
    "write": family(
        "write_file save_file create_file file_write put_file", "Writes a file.|Saves text to a file.|Creates a file with a text.",
        "writing files", done('{"written": true}', '{"bytes": 12, "ok": true}'), path=PATH, text=WHOLE),
    "route": family(
        "find_route get_directions route directions plan_route navigate", "Finds a route between two places.|Shows the way.|Directions from one place to another.|Plans a route",
        "routes", [fields("From {start} to {destination}: {way}.", way=("route summary way", lambda r: f"{r.randrange(2, 900)} km")), plain_text(text)],
        start=argument("start from origin source", "Where the route begins|Starting point|The start", city), destination=argument("destination to end target goal", "Where the route ends|The destination|The goal", city),
        mode=enum("mode by vehicle transport", "How to travel|Means of transport|Mode of travel", ("car", "bike", "train", "bus"), "optional")),
    "ticket": family(
        "create_ticket open_ticket new_issue create_issue report_problem", "Opens a support ticket.|Creates a ticket.|Reports an issue.|Files a new issue",
        "tickets", done('{"created": true}', '{"status": "open"}'), title=argument("title summary subject text", "Short summary|The title|What is wrong", text, "spoken"),
        priority=enum("priority urgency level severity", "How urgent it is|The priority|Urgency", ("low", "medium", "high"))),
    "battery": family(
        "get_battery battery battery_level battery_status", "Reports the charge of the battery.|Battery level.|How full the battery is.|Gets the state of the battery",
        "the battery", lambda r, a: (lambda k, v: ({k: v}, f"{k}: {v}."))(r.choice(["percent", "level", "charge", "battery"]), r.randrange(101))),
    "contact": family(
        "add_contact save_contact create_contact new_contact", "Saves a new contact.|Adds a person to the contacts.|Creates a contact.|Stores an address",
        "contacts", done('{"saved": true}'), name=argument("name person contact full_name", "The name|Name of the person", person),
        city=argument("city town place", "The city|Where", city, inside="address"),
        street=argument("street street road", "The street|Street", lambda r: f"{name_of_something(r)} Street {r.randrange(1, 100)}", "optional", inside="address")),
    "drink": family(
        "order_drink order_beverage buy_drink drinks", "Orders a drink.|Orders something to drink.|Buys a beverage.",
        "drinks", done('{"ordered": true}', '{"status": "ordered"}'), drink=enum("drink beverage item what", "The drink|What to drink|Which drink", ("coffee", "tea", "water", "juice", "milk")),
        size=enum("size cup size", "The size|Size of the cup|How large", ("small", "medium", "large"), "optional"), count=number("count number quantity amount", "How many|Number of drinks|The number", upto(12, 2), "optional")),
    "vacuum": family(
        "start_vacuum clean_room vacuum robot_clean", "Cleans a room.|Starts the vacuum cleaner.|Sends the robot to a room.", "cleaning", done('{"started": true}'), room=ROOM),
    "track": family(
        "track_package parcel_status find_parcel track_order order_status", "Tracks a parcel.|Finds out where a package is.|Status of an order.",
        "parcels", [record, fields("{id}: {s}.", s=("status state", one_of("delivered", "on the way", "lost", "delayed", "in the depot", "shipped")))],
        id=argument("id number package_id tracking_number order_id", "Number of the parcel|The id|Tracking number", identifier)),
    "user": family(
        "get_user find_user load_account customer_info fetch_profile", "Gets a user.|Looks up an account.|Loads the data of a customer.|Returns a user's profile",
        "users", record, id=argument("id user_id number account", "Id of the user|The id|Which user", identifier)),
    "cart": family(
        "add_to_cart cart_add buy_item put_in_basket", "Puts something into the cart.|Adds an item to the shopping cart.|Buys an item.",
        "shopping", done('{"added": true}'), item=argument("item product article name", "The item|What to buy|The product", word), count=number("count quantity number amount", "How many|Quantity|Number of items", upto(20, 2), "optional")),
    "joke fact": family("random_fact fun_fact get_fact", "Tells a fact about a topic.|A random fact.|Gets a fun fact.", "random facts", plain_text(text), topic=argument("topic subject about", "The topic|About what", word)),
    "run": family(
        "run_command shell execute bash terminal", "Runs a command.|Executes a shell command.|Runs a program on the machine.", "running commands", plain_text(text),
        command=argument("command cmd line program", "The command|What to run|Command line", command, "spoken")),
    "page": family(
        "open_page fetch_url get_page browse_page load_site", "Loads a web page.|Fetches a URL.|Opens a web site.|Gets a page", "web pages", plain_text(text), url=argument("url address page site", "The address|URL of the page|Which page", url)),
    "volume": family(
        "set_volume volume change_volume loudness", "Sets the volume.|Changes how loud it is.|Volume control.", "the volume", done('{"set": true}'), level=number("level volume percent value", "Volume in percent|The level|How loud", upto(100, 0))),
    "door": family(
        "control_door door lock_door door_control", "Opens and closes doors.|Controls a door.|Moves a door of the house.", "doors", done('{"moved": true}'),
        action=enum("action do command operation", "What to do|The action", ("open", "close", "lock", "unlock")), which=enum("door which name", "Which door|The door", ("front", "back", "garage", "cellar", "side"))),
    "note": family("make_note add_note take_note memo save_note", "Saves a note.|Writes a note.|Makes a memo.", "notes", done('{"saved": true}'), text=WHOLE),
    "vote": family("vote cast_vote ballot register_vote", "Casts a vote.|Votes for an option.|Counts a vote.", "votes", done('{"counted": true}'), option=argument("option choice candidate for", "The option|Whom to vote for|The choice", name_of_something)),
    "shape": family(
        "draw_shape paint draw create_shape", "Draws a shape.|Paints a figure.|Makes a drawing.", "drawings", done('{"drawn": true}'), shape=enum("shape figure form kind", "The shape|What to draw|Kind of figure", ("circle", "square", "triangle", "star", "line")),
        color=argument("color colour paint", "The color|Color of the shape", lambda r: r.choice(W.COLORS), "optional"), size=number("size width diameter", "The size|How large", upto(99), "optional")),
    "pay": family(
        "pay send_money transfer make_payment wire", "Pays money to somebody.|Transfers money.|Sends a payment.", "payments", done('{"paid": true}', '{"status": "paid"}'), amount=argument("amount sum value", "How much|The amount", upto(900), kind="number"),
        to=TO, reason=argument("reason purpose note reference", "What it is for|Reason|The purpose", text, "optional", "spoken")),
}  # fmt: skip
FIRST = ("weather", "calculator", "lookup", "clock", "reminder", "translate")  # asked for also when nothing is declared
ALIKE = [
    ("weather", "forecast", "clock", "route"), ("read", "list", "delete", "write", "run", "search", "page"),
    ("alarm", "timer", "reminder", "event", "clock", "note"), ("email", "message", "contact", "user", "pay"),
    ("light", "heating", "music", "vacuum", "volume", "door"), ("currency", "stock", "calculator", "pay"),
    ("table", "drink", "cart", "track", "event"), ("lookup", "search", "translate", "joke fact", "page"),
    ("ticket", "event", "note", "message"), ("battery", "volume", "light"), ("shape", "vote", "note"),
]  # fmt: skip
