"""The shop's vocabulary: twenty categories with their prices and seasons, and the words its titles are made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """One shelf of the shop.

    `share` is its relative traffic, `price` its median in GBP, `peak` the day of the year on which it is wanted most,
    `swing` and `weekend` how much more in the logarithm at the peak and on Saturdays and Sundays. `cycle` is the number
    of days after which it is bought again; 0 for what lasts.
    """

    name: str
    department: str
    share: float
    price: float
    peak: int
    swing: float
    weekend: float
    cycle: int
    materials: tuple[str, ...]
    nouns: tuple[str, ...]


def _category(
    name: str, department: str, numbers: tuple[float, float, int, float, float, int], materials: str, nouns: str
) -> Category:
    return Category(name, department, *numbers, _words(materials), _words(nouns))


def _words(line: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in line.split(","))


# Numbers: share, price, peak, swing, weekend, cycle.
CATEGORIES: tuple[Category, ...] = (
    _category(
        "candles", "home", (1.3, 14, 345, 0.9, 0.0, 45),
        "Beeswax, Soy, Cedar, Fig, Lavender, Amber",
        "Pillar Candle, Jar Candle, Tea Lights, Taper Candles, Travel Candle, Three-Wick Candle",
    ),
    _category(
        "lighting", "home", (1.0, 48, 320, 0.5, 0.1, 0),
        "Brass, Rattan, Glass, Paper, Copper, Concrete",
        "Table Lamp, Pendant, Floor Lamp, String Lights, Wall Light, Lantern, Reading Lamp",
    ),
    _category(
        "cushions", "home", (1.2, 24, 290, 0.3, 0.1, 0),
        "Linen, Velvet, Wool, Cotton, Boucle, Corduroy",
        "Cushion, Bolster, Floor Cushion, Seat Pad, Cushion Cover, Pouffe",
    ),
    _category(
        "bedding", "home", (1.0, 62, 275, 0.3, 0.1, 0),
        "Percale, Linen, Cotton, Bamboo, Flannel, Sateen",
        "Duvet Cover, Fitted Sheet, Pillowcase Pair, Throw, Quilt, Blanket",
    ),
    _category(
        "kitchen", "home", (1.4, 28, 340, 0.4, 0.1, 0),
        "Oak, Steel, Cast-Iron, Marble, Stoneware, Copper",
        "Saucepan, Chopping Board, Knife, Mixing Bowl, Pestle and Mortar, Colander, Casserole, Whisk",
    ),
    _category(
        "tableware", "home", (1.1, 22, 345, 0.5, 0.0, 0),
        "Porcelain, Stoneware, Glass, Enamel, Acacia, Terracotta",
        "Dinner Plate, Mug, Serving Bowl, Jug, Espresso Cup, Carafe, Cake Stand, Tumbler",
    ),
    _category(
        "storage", "home", (0.9, 26, 15, 0.6, 0.2, 0),
        "Seagrass, Wire, Felt, Pine, Canvas, Jute",
        "Basket, Crate, Shelf, Peg Rail, Laundry Bin, Trunk, Desk Tidy",
    ),
    _category(
        "rugs", "home", (0.6, 120, 280, 0.3, 0.2, 0),
        "Jute, Wool, Cotton, Sisal, Hemp, Recycled",
        "Runner, Rug, Doormat, Bath Mat, Hearth Rug, Round Rug",
    ),
    _category(
        "wall-art", "home", (0.7, 38, 30, 0.2, 0.1, 0),
        "Oak-Framed, Canvas, Botanical, Letterpress, Metal, Woven",
        "Print, Mirror, Wall Hanging, Clock, Photo Frame, Map",
    ),
    _category(
        "soap", "home", (1.0, 8, 345, 0.3, 0.0, 35),
        "Oatmeal, Lavender, Citrus, Charcoal, Rosemary, Honey",
        "Hand Soap, Soap Bar, Shampoo Bar, Hand Cream, Bath Salts, Washing-Up Liquid",
    ),
    _category(
        "coffee", "pantry", (1.1, 11, 350, 0.2, 0.0, 24),
        "Colombian, Ethiopian, House, Decaf, Assam, Peppermint",
        "Ground Coffee, Coffee Beans, Loose Tea, Tea Bags, Espresso Pods, Cold Brew",
    ),
    _category(
        "planters", "garden", (1.0, 27, 125, 1.1, 0.4, 0),
        "Terracotta, Zinc, Fibreclay, Willow, Glazed, Cedar",
        "Planter, Hanging Pot, Trough, Window Box, Plant Stand, Raised Bed, Saucer",
    ),
    _category(
        "garden-tools", "garden", (0.9, 24, 110, 1.2, 0.5, 0),
        "Ash, Steel, Copper, Beech, Galvanised, Bamboo",
        "Hand Trowel, Fork, Secateurs, Watering Can, Rake, Dibber, Hoe, Kneeler",
    ),
    _category(
        "seeds", "garden", (0.8, 5, 85, 1.5, 0.3, 40),
        "Heritage, Organic, Wildflower, Dwarf, Climbing, Cottage",
        "Tomato Seeds, Bean Seeds, Sunflower Seeds, Herb Seeds, Poppy Seeds, Lettuce Seeds",
    ),
    _category(
        "bird-care", "garden", (0.6, 13, 10, 0.6, 0.2, 28),
        "Sunflower, Nyjer, Peanut, Suet, Mealworm, Mixed",
        "Bird Seed, Fat Balls, Feeder Refill, Winter Feed, Seed Cake",
    ),
    _category(
        "camping", "outdoor", (0.8, 58, 195, 1.3, 0.3, 0),
        "Canvas, Ripstop, Aluminium, Down, Titanium, Fleece",
        "Tent, Sleeping Bag, Camp Chair, Stove, Hammock, Roll Mat, Cook Set",
    ),
    _category(
        "hiking", "outdoor", (0.9, 44, 160, 0.7, 0.3, 0),
        "Waxed, Merino, Nylon, Leather, Softshell, Recycled",
        "Rucksack, Walking Poles, Boots, Flask, Rain Cover, Gaiters, Map Case",
    ),
    _category(
        "knitwear", "fashion", (1.1, 54, 325, 1.0, 0.0, 0),
        "Lambswool, Merino, Cashmere, Cotton, Mohair, Alpaca",
        "Jumper, Cardigan, Beanie, Gloves, Rollneck, Bed Socks, Scarf",
    ),
    _category(
        "shirts", "fashion", (1.1, 39, 170, 0.6, 0.0, 0),
        "Linen, Oxford, Chambray, Flannel, Poplin, Hemp",
        "Shirt, Overshirt, Blouse, Tunic, T-Shirt, Grandad Shirt",
    ),
    _category(
        "bags", "fashion", (0.8, 46, 240, 0.3, 0.0, 0),
        "Leather, Canvas, Waxed, Felt, Nylon, Straw",
        "Tote, Satchel, Backpack, Wash Bag, Purse, Weekender, Crossbody",
    ),
)  # fmt: skip

# An adjective means the same taste in every category; that is what ties a customer's lamps to their shirts.
STYLES: tuple[str, ...] = (
    "Rustic", "Modern", "Vintage", "Coastal", "Scandi", "Botanical",
    "Industrial", "Classic", "Bohemian", "Minimal", "Bright", "Heritage",
)  # fmt: skip

COLOURS: tuple[str, ...] = (
    "Sage", "Ochre", "Navy", "Chalk", "Rust", "Moss", "Slate", "Blush", "Ink", "Sand", "Plum", "Teal",
)  # fmt: skip

BRANDS: tuple[str, ...] = (
    "Alder & Wren", "Marlow Lane", "Fenwold", "Thistledown", "Copperfold", "Harrow Mill", "Pebble & Pine", "Northmoor",
    "Larkspur", "Kittiwake", "Old Tannery", "Brambleside", "Saltmarsh", "Hearth Row", "Oxbow", "Juniper Yard",
)  # fmt: skip
