"""The names of the sample chain: its shops and what they sell. All of it is invented."""

from dataclasses import dataclass

STORES = [
    ("LHR-01", "Data Darbar Kiryana", "Lahore"),
    ("LHR-02", "Gulberg General Store", "Lahore"),
    ("LHR-03", "Model Town Mart", "Lahore"),
    ("LHR-04", "Shalimar Kiryana Merchant", "Lahore"),
    ("KHI-01", "Saddar Kiryana Store", "Karachi"),
    ("KHI-02", "Clifton Provision Store", "Karachi"),
    ("KHI-03", "Nazimabad Super Kiryana", "Karachi"),
    ("KHI-04", "Lyari General Store", "Karachi"),
    ("ISB-01", "Margalla Kiryana", "Islamabad"),
    ("ISB-02", "Aabpara Provision Store", "Islamabad"),
    ("RWP-01", "Raja Bazaar Kiryana", "Rawalpindi"),
    ("RWP-02", "Saddar Cantt Store", "Rawalpindi"),
    ("FSD-01", "Ghanta Ghar Kiryana", "Faisalabad"),
    ("FSD-02", "Jinnah Colony Store", "Faisalabad"),
    ("MUX-01", "Hussain Agahi Kiryana", "Multan"),
    ("MUX-02", "Bosan Road Mart", "Multan"),
    ("PEW-01", "Qissa Khwani Kiryana", "Peshawar"),
    ("PEW-02", "Hayatabad General Store", "Peshawar"),
    ("UET-01", "Liaquat Bazaar Kiryana", "Quetta"),
    ("SKT-01", "Allama Iqbal Kiryana", "Sialkot"),
    ("GRW-01", "Trust Plaza Kiryana", "Gujranwala"),
    ("HDD-01", "Resham Gali Kiryana", "Hyderabad"),
    ("BHV-01", "Noor Mahal Kiryana", "Bahawalpur"),
    ("SGD-01", "Kutchery Bazaar Store", "Sargodha"),
    ("ABT-01", "Pine View Kiryana", "Abbottabad"),
]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A category: every item in every variety, at prices in rupees."""

    prefix: str
    category: str
    unit: str
    varieties: tuple[str, ...]
    items: tuple[tuple[str, int], ...]


SHELVES = [
    Shelf("TEA", "Tea & coffee", "each", ("Sitara", "Chinar", "Subh-e-Nau"), (
        ("Black Tea 95 g", 190), ("Black Tea 190 g", 360), ("Black Tea 475 g", 850),
        ("Black Tea 900 g", 1580), ("Green Tea 30 bags", 240), ("Cardamom Tea 30 bags", 290),
        ("Kashmiri Tea 100 g", 310), ("Danedar 170 g", 330), ("Tea Bags 100", 620),
        ("Instant Coffee 25 g", 280), ("Instant Coffee 50 g", 520),
    )),
    Shelf("RIC", "Rice & flour", "each", ("Zamindar", "Khushboo", "Annapurna"), (
        ("Basmati Rice 1 kg", 390), ("Basmati Rice 5 kg", 1890), ("Sella Rice 1 kg", 360),
        ("Broken Rice 1 kg", 220), ("Chakki Atta 5 kg", 720), ("Chakki Atta 10 kg", 1390),
        ("Fine Flour 1 kg", 170), ("Semolina 1 kg", 230), ("Gram Flour 500 g", 210),
        ("Rice Flour 500 g", 160), ("Corn Flour 300 g", 180),
    )),
    Shelf("DAL", "Pulses, loose", "kg", ("Fine", "Standard", "Farm"), (
        ("Masoor", 330), ("Moong", 360), ("Chana", 290), ("Mash", 480), ("Toor", 420),
        ("White Chickpeas", 440), ("Black Chickpeas", 340), ("Red Beans", 460),
        ("White Beans", 430), ("Black-eyed Beans", 390), ("Split Peas", 310),
    )),
    Shelf("VEG", "Fruit & vegetables", "kg", ("Grade A", "Grade B", "Village"), (
        ("Onions", 120), ("Potatoes", 90), ("Tomatoes", 140), ("Garlic", 480), ("Ginger", 520),
        ("Green Chillies", 260), ("Okra", 180), ("Cauliflower", 110), ("Apples", 280),
        ("Bananas", 160), ("Oranges", 190),
    )),
    Shelf("SPI", "Spices", "each", ("Rangeen", "Zaiqa Ghar", "Masalchi"), (
        ("Red Chilli Powder 200 g", 260), ("Turmeric 200 g", 230), ("Coriander Powder 200 g", 210),
        ("Garam Masala 100 g", 240), ("Cumin 100 g", 250), ("Black Pepper 50 g", 220),
        ("Biryani Masala 50 g", 130), ("Qorma Masala 50 g", 130), ("Karahi Masala 50 g", 130),
        ("Chaat Masala 50 g", 120), ("Iodised Salt 800 g", 60),
    )),
    Shelf("OIL", "Oil & ghee", "each", ("Suraj", "Dehqan", "Kanwal"), (
        ("Cooking Oil 1 l pouch", 540), ("Cooking Oil 3 l", 1620), ("Cooking Oil 5 l", 2690),
        ("Canola Oil 1 l", 580), ("Sunflower Oil 1 l", 610), ("Mustard Oil 500 ml", 390),
        ("Banaspati Ghee 1 kg", 550), ("Banaspati Ghee 2.5 kg", 1370), ("Desi Ghee 500 g", 1450),
        ("Olive Oil 250 ml", 890), ("Sesame Oil 250 ml", 480),
    )),
    Shelf("MLK", "Milk & dairy", "litre", ("Buffalo", "Cow", "Mixed"), (
        ("Fresh Milk", 220), ("Boiled Milk", 230), ("Lassi, sweet", 180), ("Lassi, salted", 170),
        ("Yoghurt, plain", 240), ("Yoghurt, sweet", 270), ("Buttermilk", 120),
        ("Cream", 780), ("Cardamom Milk", 260), ("Almond Milk Sherbet", 340), ("Kheer", 380),
    )),
    Shelf("BIS", "Biscuits & snacks", "each", ("Mithas", "Chaska", "Khasta"), (
        ("Glucose Biscuits", 40), ("Cream Biscuits", 50), ("Salted Biscuits", 40),
        ("Coconut Cookies", 60), ("Rusk 250 g", 160), ("Potato Crisps 40 g", 50),
        ("Nimko 150 g", 110), ("Salted Peanuts 100 g", 120), ("Puffed Rice 100 g", 70),
        ("Slanty 30 g", 30), ("Cake Slice", 40),
    )),
    Shelf("DRK", "Drinks", "each", ("Barfab", "Neher", "Rim Jhim"), (
        ("Cola 345 ml", 80), ("Cola 1.5 l", 190), ("Lemon Drink 345 ml", 80),
        ("Lemon Drink 1.5 l", 190), ("Orange Drink 1.5 l", 190), ("Mango Nectar 200 ml", 60),
        ("Mango Nectar 1 l", 290), ("Water 500 ml", 50), ("Water 1.5 l", 90),
        ("Rose Syrup 800 ml", 420), ("Energy Drink 250 ml", 180),
    )),
    Shelf("SOP", "Soap & laundry", "each", ("Ujala", "Chamak", "Saaf"), (
        ("Bath Soap 100 g", 110), ("Bath Soap 130 g", 140), ("Laundry Soap 230 g", 90),
        ("Washing Powder 500 g", 260), ("Washing Powder 1 kg", 490), ("Dish Bar 200 g", 80),
        ("Dish Liquid 475 ml", 290), ("Bleach 500 ml", 180), ("Floor Cleaner 500 ml", 320),
        ("Scouring Pad", 40), ("Fabric Blue 75 ml", 70),
    )),
    Shelf("CAR", "Personal care", "each", ("Noor", "Gulab", "Shaista"), (
        ("Shampoo Sachet", 15), ("Shampoo 185 ml", 380), ("Hair Oil 100 ml", 210),
        ("Toothpaste 70 g", 150), ("Toothpaste 140 g", 270), ("Toothbrush", 90),
        ("Razor", 70), ("Shaving Cream 65 g", 240), ("Talcum Powder 100 g", 230),
        ("Cold Cream 60 ml", 260), ("Hand Wash 225 ml", 290),
    )),
    Shelf("HOM", "Household", "each", ("Ghar", "Roshan", "Pakka"), (
        ("Matches 10 boxes", 60), ("Candles 6", 120), ("Mosquito Coils 10", 130),
        ("LED Bulb 12 W", 320), ("AA Batteries 2", 140), ("Plastic Bucket", 480), ("Broom", 250),
        ("Aluminium Foil", 350), ("Paper Tissues 100", 190), ("Rubbish Bags 20", 240),
        ("Thread Reel", 30), ("Notebook 80 pages", 120), ("Ball Pen", 30),
    )),
]  # fmt: skip
