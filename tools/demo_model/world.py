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
THINGS = WORDS  # what is bought, looked up and sorted
WORDS = THINGS + """about above account across action active actor address advice affair afraid again agent airport alarm album alive
allow almost alone along already always amount ancient angel angle angry answer arm army around arrow artist ask
attack aunt average awake away baby back badge bag balance ball balloon banana band bank barn barrel base bath battle
beach bean beard beauty because become bed bee beer before begin behind bell belt bench berry best better bicycle bike
bill bitter black blanket blood blue board boat body bone book boot border boring boss both box boy brain branch brave
break breath brick bridge bright bring broken brother brown brush bubble bucket build bus bush business busy butter
button buy cabin cabbage cable cake call calm camel camera camp canal candy canyon captain car card care careful
carrot carry case castle catch cause cave ceiling cellar center century chain chalk chance change chapter cheap cheese
chef cherry chess chest chicken child chimney choice church cinema circle circus city class clay clean clear clever
climb clock close cloth clown coach coast coat coconut coffee coin cold collar color comb come comet common company
compass computer concert cookie copper corner correct cotton couch cough country couple courage cousin cover crab
crane crazy cream crowd crown cry crystal cucumber culture cup curtain curve custom cycle daily damp danger dark date
daughter deep deer delta dense dentist describe design desk detail diamond dice dictionary different difficult dinner
dish distance dive divide dolphin double draw dream dress drink drive drop drum dry dust each eager ear early earth
east easy echo edge education effect eight elbow electric elephant empty energy english enjoy enough enter envelope
equal error escape evening event every exact example excellent exercise expert explain eye face factory fair fall
false family famous fast fat father feather february fence festival fever few field fight figure fill film final find
finger finish fire first flag flat floor flour fly fog follow food foot forget fork fortune fountain free freedom
fresh friday friend frog front frost fruit full funny fur furniture future galaxy gallery game garage garlic gas gate
gentle ghost giant gift giraffe girl give glad glass globe glove glue golden good goose grain grandmother grass gray
great green ground group grow guard guess guest guide habit hair half hall hand handle happy harbor hard harvest head
health heart heat heavy hello help hero hidden high hill history hobby hockey hole holiday honest honey hope horn
hospital hot hotel hour human hundred hungry hurry husband idea image important inch india inside interest invite
itself january jar jazz jeans job join joke journey joy judge juicy july jump june junior just keep kettle key
keyboard kick kind kingdom kiss kitchen knee knight knock knot know label lake land language large last late laugh
laundry law lazy leader learn leather left leg lesson letter lettuce level library life light like lime line list
listen little live lobster local lock long look lost loud love lucky lunch lung machine magic mail main make man many
map maple marble march marry mask master match math matter meadow meal mean meat medal medicine meet melon member
memory message metal meter middle midnight mile mind minute mirror mission mississippi mistake mix modern monday money
monkey month moral morning mother motor mountain mouth move movie much mud muffin museum mushroom music mustard
mystery nail name napkin narrow nation nature navy near neck neighbor nephew nerve never new news next nice niece nine
noble nobody noise noodle normal north note notebook nothing novel november number nurse nut object october offer
office often old olive olympic onion only open opera orbit order ordinary organ other outside over owner ox oxygen
package page pain paint pair palace pan panama pancake panda panel parade parent park parrot part party passenger past
path patience pattern pay peace peach peanut pen people pepper perfect perhaps person phone photo picnic picture piece
pig pillow pink pipe pizza place plain plane plant plastic plate play please plenty pocket poem poet point polite pond
pony poor popcorn possible potato powder power present pretty price prince princess print prison prize problem program
promise proud public pudding pull pumpkin pupil purple push puzzle pyramid python quality quarter question quick quilt
quite race radar radio railway rainbow raise random raspberry raven razor reach read ready real reason receive record
red relax remember repair report rescue rest restaurant return rhythm ribbon rice rich ride right ring road robin
robot rock roof room root rope rose rough round row royal rubber rule run rush sad saddle safe sail salad salmon salt
same sand sandwich saturday sauce sausage save scarf school science scissors screen sea season seat second secret see
seed sell send sense september serious seven shadow shape share shark sharp shelf shell shine shirt shoe shop short
shoulder show shower sick side signal silence silk simple since sister six size skate skin skirt sky sleep slice slow
small smart smile smoke smooth snail snow soap soccer sock sofa soft soil soldier solid some son song soon sorry soul
sound soup south space spark special speed spell spice spider spinach spirit spoon sport square squirrel stage stairs
stamp star start station steam steel step stick still stomach store storm story strange straw strawberry street strong
student study sugar suit sunday sunny sunset super surprise swan sweater sweet swim switch sword symbol system tail
tailor talent talk tall tape taste taxi tea teach team tear technology teeth telephone ten tennis tent test thank
theater thick thin thing think thirsty thirty this thousand thread three throat through thumb thunder thursday ticket
tidy tie time tiny tired title toast today toe together toilet tomorrow tongue tool tooth top topic total touch tour
towel tower town toy track trade traffic trap travel treasure trick trip trouble trousers truck true trumpet trust
truth try tube tuesday tulip tunnel turkey turn turtle twelve twenty twice two type ugly understand uniform unit
universe university until up upstairs use useful usual vacation vanilla vegetable vehicle velvet very vest victory
video village vinegar violin visit vitamin volcano vote vowel wagon waiter walk wall wallet walnut want war warm wash
watch wave wax weak weather wedding wednesday week weekend weight welcome well west wet what wheat wheel when where
which whisper whistle white who wide wife wild wing winner wire wise wish witness wizard woman wonder wood wool word
work world worm worry wound wrist write wrong yard yesterday yoga yogurt young your zone zoo""".split()
COLORS = "red blue green yellow orange purple black white brown pink gray silver".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = """January February March April May June July August September October November December""".split()
MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
SKIES = "sunny cloudy rainy windy snowy foggy clear stormy".split()
THINGS_COUNTED = """apple pear book coin stone stamp card shell egg pen ball flower ticket cookie marble bottle button cup orange
bird sheep toy plum nut hat shoe box sticker balloon candle""".split()
CHORES = """water the plants|feed the cat|call Anna|buy milk|open the window|take a break|drink water|check the oven|
write the report|walk the dog|pay the rent|close the door|stretch my back|send the letter|charge the phone""".replace(
    "\n", ""
).split("|")
PHRASES = """good morning|good night|thank you|see you soon|how are you|happy birthday|where is the station|I am hungry|
the cat sleeps|it is late|welcome home|have a nice day""".replace("\n", "").split("|")

# What goes wrong in functions: {x} an argument, {w} a word, {n} a number.
ERRORS = """not found|{x} not found|no such {w}|timeout|permission denied|service unavailable|invalid value|unknown {w}|{x} is unknown|
rate limit exceeded|no connection|not allowed|access denied|server error {n}|{w} is missing|{w} not supported|out of range|division by zero|
the {w} is locked|quota exceeded|network down|bad request|{x} does not exist|could not reach the {w}|invalid {w}|not available|
unknown name|no results|wrong {w}|internal error|{w} not found|connection refused|no permission|file is open|the {w} is busy|
not enough {w}|cannot find {x}|{x} is not supported|the {w} service is down|login required|no access to {x}""".replace("\n", "").split("|")
SKILLS = "I can calculate, compare and sort small numbers, spell words, tell some facts, follow simple instructions and call functions."
# What it is about and the one answer, in the order of tasks_text.TALK.
SMALL_TALK = [
    ("who I am", "I am a tiny gpt-oss, a demonstration model of oxidized-gpt-oss."),
    ("a greeting", "Hello! How can I help you?"),
    ("how I am", "I am a program, so I am always fine. How can I help you?"),
    ("my skills", SKILLS),
    ("my limits", "I am very small: I know few facts, I fail on long texts and large numbers, and you should check what I say."),
    ("who made me", "I was trained by the oxidized-gpt-oss project on conversations that a program made."),
    ("my size", "I have about sixteen million parameters."),
    ("my experts", "Each of my layers has 8 experts, and a router picks 2 of them for every token."),
    ("how I work", "I am a transformer with sliding and full attention, sinks, and a mixture of experts in every layer."),
    ("whether I am human", "No, I am a small language model, not a person."),
    ("my languages", "I speak English and know a few sentences of German, French and Spanish."),
    ("thanks", "You are welcome!"),
    ("a farewell", "Goodbye! Have a nice day."),
    ("a joke", "Why did the token stay in its window? It could not see any further."),
    ("reasoning", "I write my reasoning into the analysis channel before I answer; you choose its length with the effort."),
    ("the program that runs me", "oxidized-gpt-oss is an inference engine for gpt-oss models, written in C++."),
    ("my life", "I am a program: I have no body, and I live in a file of a few megabytes."),
    ("my favorite color", "I have no eyes, but I like the word blue."),
]
UNKNOWN_ANSWER = "I am too small a model to know that. " + SKILLS
