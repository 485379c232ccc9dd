"""What the generator knows: its word lists and the small knowledge base. All of it written for this project."""

CAPITALS = dict(
    line.split(":")
    for line in """France:Paris|Germany:Berlin|Spain:Madrid|Italy:Rome|Portugal:Lisbon|
Austria:Vienna|Switzerland:Bern|Belgium:Brussels|Poland:Warsaw|Greece:Athens|Norway:Oslo|Sweden:Stockholm|
Denmark:Copenhagen|Finland:Helsinki|Ireland:Dublin|Hungary:Budapest|Romania:Bucharest|Bulgaria:Sofia|Japan:Tokyo|
China:Beijing|India:New Delhi|Egypt:Cairo|Kenya:Nairobi|Canada:Ottawa|Mexico:Mexico City|Brazil:Brasilia|Peru:Lima|
Chile:Santiago|Argentina:Buenos Aires|Cuba:Havana|Turkey:Ankara|Russia:Moscow|Ukraine:Kyiv|Thailand:Bangkok|
Vietnam:Hanoi|Australia:Canberra|New Zealand:Wellington|South Korea:Seoul|Morocco:Rabat|Iceland:Reykjavik""".replace(
        "\n", ""
    ).split(
        "|"
    )
)

CONTINENTS = {
    "Europe": "France Germany Spain Italy Portugal Austria Poland Greece Norway Sweden Finland Ireland".split(),
    "Asia": "Japan China India Thailand Vietnam".split(),
    "Africa": "Egypt Kenya Morocco".split(),
    "South America": "Brazil Peru Chile Argentina".split(),
    "North America": "Canada Mexico Cuba".split(),
}

# Country in German, French, Spanish; the capital in the three languages.
ABROAD = {
    "France": ("Frankreich:Paris", "la France:Paris", "Francia:París"),
    "Germany": ("Deutschland:Berlin", "l'Allemagne:Berlin", "Alemania:Berlín"),
    "Spain": ("Spanien:Madrid", "l'Espagne:Madrid", "España:Madrid"),
    "Italy": ("Italien:Rom", "l'Italie:Rome", "Italia:Roma"),
    "Portugal": ("Portugal:Lissabon", "le Portugal:Lisbonne", "Portugal:Lisboa"),
    "Austria": ("Österreich:Wien", "l'Autriche:Vienne", "Austria:Viena"),
    "Belgium": ("Belgien:Brüssel", "la Belgique:Bruxelles", "Bélgica:Bruselas"),
    "Poland": ("Polen:Warschau", "la Pologne:Varsovie", "Polonia:Varsovia"),
    "Greece": ("Griechenland:Athen", "la Grèce:Athènes", "Grecia:Atenas"),
    "Norway": ("Norwegen:Oslo", "la Norvège:Oslo", "Noruega:Oslo"),
    "Sweden": ("Schweden:Stockholm", "la Suède:Stockholm", "Suecia:Estocolmo"),
    "Japan": ("Japan:Tokio", "le Japon:Tokyo", "Japón:Tokio"),
    "China": ("China:Peking", "la Chine:Pékin", "China:Pekín"),
    "Egypt": ("Ägypten:Kairo", "l'Égypte:Le Caire", "Egipto:El Cairo"),
    "Russia": ("Russland:Moskau", "la Russie:Moscou", "Rusia:Moscú"),
}
SAY_ABROAD = {
    "German": "Die Hauptstadt von {} ist {}.",
    "French": "La capitale de {} est {}.",
    "Spanish": "La capital de {} es {}.",
}
HELLO_ABROAD = {
    "German": "Hallo! Wie kann ich helfen?",
    "French": "Bonjour ! Comment puis-je aider ?",
    "Spanish": "¡Hola! ¿Cómo puedo ayudar?",
}

# question -> (subject for the reasoning, answer); the answer's last word or words are the short form.
FACTS = {
    "What color is the sky on a clear day": "blue",
    "What color is grass": "green",
    "What color is snow": "white",
    "What color is a ripe banana": "yellow",
    "What color is coal": "black",
    "What color are ripe tomatoes": "red",
    "How many days are in a week": "seven",
    "How many months are in a year": "twelve",
    "How many hours are in a day": "24",
    "How many minutes are in an hour": "60",
    "How many legs does a spider have": "eight",
    "How many legs does an insect have": "six",
    "How many legs does a dog have": "four",
    "How many continents are there": "seven",
    "How many planets are in the solar system": "eight",
    "How many sides does a triangle have": "three",
    "How many sides does a hexagon have": "six",
    "What is the largest planet": "Jupiter",
    "What is the smallest planet": "Mercury",
    "Which planet is closest to the sun": "Mercury",
    "Which planet is called the red planet": "Mars",
    "Which planet has large rings": "Saturn",
    "What is the chemical symbol of gold": "Au",
    "What is the chemical symbol of silver": "Ag",
    "What is the chemical symbol of iron": "Fe",
    "What is the chemical symbol of oxygen": "O",
    "What is the chemical symbol of carbon": "C",
    "What is the chemical formula of water": "H2O",
    "What is the largest ocean": "the Pacific",
    "What is the largest animal": "the blue whale",
    "What is the fastest land animal": "the cheetah",
    "What is the tallest animal": "the giraffe",
    "What is the highest mountain": "Mount Everest",
    "What is the longest river in Africa": "the Nile",
    "What do bees make": "honey",
    "What do cows give": "milk",
    "What do caterpillars become": "butterflies",
    "What is frozen water called": "ice",
    "What is the opposite of hot": "cold",
    "What is the opposite of big": "small",
    "What is the opposite of day": "night",
    "What is the opposite of old": "young",
    "What is the opposite of up": "down",
    "What is the opposite of fast": "slow",
    "What is the opposite of light": "dark",
    "What is the opposite of open": "closed",
    "What is the opposite of early": "late",
    "What sound does a cat make": "meow",
    "What sound does a dog make": "woof",
    "What sound does a cow make": "moo",
    "What sound does a duck make": "quack",
    "What is a young dog called": "puppy",
    "What is a young cat called": "kitten",
    "Which animal says moo": "the cow",
    "Which season follows winter": "spring",
    "Which season follows summer": "autumn",
    "Who wrote Hamlet": "Shakespeare",
    "Who wrote Faust": "Goethe",
    "Who painted the Mona Lisa": "Leonardo da Vinci",
    "Which gas do we breathe in to live": "oxygen",
    "At how many degrees celsius does water boil": "100",
    "At how many degrees celsius does water freeze": "zero",
    "What is the first letter of the alphabet": "A",
    "What is the last letter of the alphabet": "Z",
    "What star is at the center of the solar system": "the sun",
}

NAMES = """Anna Ben Clara David Emma Felix Grace Henry Ida Jack Karla Leo Maria Nina Oscar Paula Quentin Rosa Simon Tina
Ursula Victor Wanda Xenia Yusuf Zoe Alice Boris Cora Dennis Ella Fred Greta Hugo Iris Jonas Kate Lena Max Nora Otto
Peter Ruth Sara Tom Uma Vera Will Yara Zeno""".split()
CITIES = (
    """Paris Berlin Madrid Rome Lisbon Vienna Bern Warsaw Athens Oslo Dublin Tokyo Beijing Cairo Nairobi Ottawa Lima
Havana Moscow Bangkok Hanoi Seoul London Boston Chicago Denver Dallas Miami Seattle Hamburg Munich Milan Naples Lyon
Sydney Toronto Zurich Geneva Prague Porto""".split()
)
WORDS = """apple bread chair dance eagle flame grape house island jelly knife lemon mango night ocean piano queen river
snake table under voice water xenon yacht zebra anchor basket candle dragon engine forest garden hammer insect jacket
kitten ladder magnet needle orange pencil rabbit silver tomato urchin violet window yellow zipper animal bottle carpet
desert emerald flower guitar helmet iron jungle king lamp moon nest oven paper quiet rocket stone train umbrella valley
whale year zero bird cloud door egg fish gold hat ice juice kite leaf milk nose oil pear rain ship tree uncle vase wind
planet market winter summer spring autumn doctor teacher farmer baker singer pilot dog cat cow horse mouse tiger lion bear
wolf fox goat sheep duck""".split()
COLORS = "red blue green yellow orange purple black white brown pink gray silver".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = """January February March April May June July August September October November December""".split()
MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
CHORES = """water the plants|feed the cat|call Anna|buy milk|open the window|take a break|drink water|check the oven|
write the report|walk the dog|pay the rent|close the door|stretch my back|send the letter|charge the phone""".replace(
    "\n", ""
).split("|")
PHRASES = """good morning|good night|thank you|see you soon|how are you|happy birthday|where is the station|I am hungry|
the cat sleeps|it is late|welcome home|have a nice day""".replace("\n", "").split("|")

SKILLS = "I can calculate, compare and sort small numbers, spell words, tell some facts, follow simple instructions and call functions."
# Several wordings each; one answer each.
SMALL_TALK = [
    (
        [
            "Who are you?",
            "What are you?",
            "Tell me who you are.",
            "What is your name?",
            "Introduce yourself.",
            "Who am I talking to?",
        ],
        "who I am",
        "I am a tiny gpt-oss, a demonstration model of oxidized-gpt-oss.",
    ),
    (
        ["Hello!", "Hi!", "Hey!", "Good morning!", "Good evening!", "Greetings!", "Hi there!", "hello"],
        "a greeting",
        "Hello! How can I help you?",
    ),
    (
        ["How are you?", "How do you do?", "How is it going?", "How are you today?", "Are you well?"],
        "how I am",
        "I am a program, so I am always fine. How can I help you?",
    ),
    (
        [
            "What can you do?",
            "What are your skills?",
            "How can you help me?",
            "Help me.",
            "What should I ask you?",
            "What do you know?",
        ],
        "my skills",
        SKILLS,
    ),
    (
        [
            "What can you not do?",
            "What are your limits?",
            "Where do you fail?",
            "Are you always right?",
            "Can I trust you?",
        ],
        "my limits",
        "I am very small: I know few facts, I fail on long texts and large numbers, and you should check what I say.",
    ),
    (
        ["Who made you?", "Who trained you?", "Where do you come from?", "Who created you?", "Who built you?"],
        "who made me",
        "I was trained by the oxidized-gpt-oss project on conversations that a program made.",
    ),
    (
        ["How big are you?", "How many parameters do you have?", "What is your size?", "How large are you?"],
        "my size",
        "I have about twelve million parameters.",
    ),
    (
        [
            "How many experts do you have?",
            "What is a mixture of experts?",
            "How do your experts work?",
            "Tell me about your experts.",
        ],
        "my experts",
        "Each of my layers has 8 experts, and a router picks 2 of them for every token.",
    ),
    (
        ["How do you work?", "What is your architecture?", "How are you built?", "Explain how you work."],
        "how I work",
        "I am a transformer with sliding and full attention, sinks, and a mixture of experts in every layer.",
    ),
    (
        ["Are you a human?", "Are you a real person?", "Are you alive?", "Do you have feelings?", "Are you a robot?"],
        "whether I am human",
        "No, I am a small language model, not a person.",
    ),
    (
        [
            "Which languages do you speak?",
            "Do you speak German?",
            "Can you speak French?",
            "What languages do you know?",
        ],
        "my languages",
        "I speak English and know a few sentences of German, French and Spanish.",
    ),
    (
        ["Thank you!", "Thanks!", "Thanks a lot!", "Thank you very much.", "That helped, thanks."],
        "thanks",
        "You are welcome!",
    ),
    (
        ["Goodbye!", "Bye!", "See you!", "Good night!", "Until next time!", "I have to go."],
        "a farewell",
        "Goodbye! Have a nice day.",
    ),
    (
        ["Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Say something funny."],
        "a joke",
        "Why did the token stay in its window? It could not see any further.",
    ),
    (
        [
            "What is reasoning?",
            "Why do you think first?",
            "What is the analysis channel?",
            "Do you think before you answer?",
        ],
        "reasoning",
        "I write my reasoning into the analysis channel before I answer; you choose its length with the effort.",
    ),
    (
        ["What is oxidized-gpt-oss?", "Which program runs you?", "What runs you?", "What engine runs you?"],
        "the program that runs me",
        "oxidized-gpt-oss is an inference engine for gpt-oss models, written in C++.",
    ),
    (
        ["Do you sleep?", "Do you eat?", "Do you have a body?", "Are you hungry?", "Where do you live?"],
        "my life",
        "I am a program: I have no body, and I live in a file of a few megabytes.",
    ),
    (
        ["What is your favorite color?", "Which color do you like?", "Do you have a favorite color?"],
        "my favorite color",
        "I have no eyes, but I like the word blue.",
    ),
]
# Wishes far outside of what the model knows.
UNKNOWN = [
    "Write a novel about {}.",
    "Who won the {} championship?",
    "How do I repair a {}?",
    "What is the price of a {}?",
    "Draw a picture of a {}.",
    "Who invented the {}?",
    "Book a {} for me.",
    "What is the history of the {}?",
    "Write a program that sells a {}.",
    "Where can I buy a {}?",
    "Give me a recipe with {}.",
    "Sing a song about a {}.",
]
UNKNOWN_ANSWER = "I am too small a model to know that. " + SKILLS
