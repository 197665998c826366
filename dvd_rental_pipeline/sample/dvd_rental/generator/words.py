"""Vocabulary of the sample data: names of people, films and streets, and parts of descriptions."""

# ruff: noqa: SIM905 (hundreds of words read better as text than as quoted items)

FIRST_NAMES = tuple(
    """
    Ada Aisha Alejandro Amara Ana Anders Andrea Anika Anton Aoife Arjun Astrid Ayşe Bashir Beatriz Ben Björn
    Bruno Camila Carlos Carmen Catherine Chen Chiara Chloé Clara Daan Dagný Daniel Daria David Deepa Diego
    Dmitri Edith Eduardo Elena Elif Elisabeth Emeka Emil Emma Erik Esther Eva Fatima Felix Fernanda Fiona
    Francesca François Freya Gabriel George Giulia Grace Greta Gustavo Hana Hannah Hans Harriet Hassan Helga
    Henrik Hiroshi Hugo Ibrahim Ida Igor Ines Ingrid Isabel Ivan Jack Jakub James Jana Javier Jelena Jin
    Joana João John José Joseph Julia Jun Kamala Karim Katarzyna Kenji Khalid Kofi Lakshmi Lars Laura Leila
    Leo Liam Lina Louise Lucas Lucía Luis Magdalena Małgorzata Marco Margaret Maria Marie Mark Marta Martin
    Mary Matteo Maya Mei Michael Miguel Mina Mohammed Nadia Naomi Natasha Nia Nikhil Nils Noah Noor Nora
    Olga Oliver Olu Omar Oscar Pablo Patricia Paul Pedro Petra Philip Priya Rachel Rafael Rahul Ravi Renée
    Rita Robert Rosa Ruth Sami Samuel Sana Sara Sergei Sofia Søren Stefan Stella Sunita Susan Sven Takumi
    Tamar Tara Teresa Theo Thomas Tiago Tomás Ulla Valentina Vera Victor Viktoria Wei Willem William Xavier
    Yan Yara Yuki Yusuf Zahra Zara Zofia Zoë
    """.split()
)

LAST_NAMES = tuple(
    """
    Abbott Abe Abdullah Adeyemi Ahmed Almeida Alvarez Andersen Andersson Antonov Arslan Bailey Baker
    Banerjee Barbosa Barnes Bauer Becker Bell Bennett Berg Bernard Bianchi Bianco Bose Bowen Brandt Brennan
    Brooks Brown Byrne Campbell Cardoso Carter Castillo Castro Chandra Chang Chávez Chopra Christensen
    Clarke Cohen Collins Conti Cooper Costa Cruz Cruise-Patel D'Angelo Dahl Davies Das Delgado Demir Diallo
    Díaz Dogan Dubois Duarte Edwards Eriksson Esposito Evans Farah Fernández Ferrari Fischer Fletcher Flores
    Fontaine Foster Fournier Fraser Fujita García Gallo Ghosh Girard Goldberg Gómez Gonçalves González
    Graham Greene Gupta Gutiérrez Haas Hansen Haddad Hall Harris Hayashi Hernández Hoffmann Horvat Huang
    Hughes Hussein Ibrahim Inoue Ito Ivanova Jackson Jansen Jensen Jiménez Johansson Jones Joshi Kamau Kang
    Kapoor Kaya Keller Kelly Khan Kim King Kobayashi Koch Kovács Kowalska Kozlov Krüger Kumar Lambert Larsen
    Laurent Lee Lefèvre Lehmann Leroy Lewis Li Lima Lin Lindqvist López Lombardi MacDonald Maier Malik
    Mancini Marino Marques Martin Martínez Mbeki Mendes Mensah Meyer Miller Mohamed Molina Moore Morales
    Moreau Moreno Morgan Mori Morris Müller Murphy Mwangi Nakamura Nair Navarro Nguyen Nielsen Nikolaidis
    Nkosi Novák Nowak O'Brien O'Sullivan Okafor Okonkwo Oliveira Olsen Ortega Osman Owusu Papadopoulos Park
    Parker Patel Pereira Petrov Phillips Pinto Popescu Popov Price Quinn Ramírez Rao Rasmussen Reddy Reyes
    Ricci Richter Rivera Roberts Robinson Rodríguez Romano Rosenberg Rossi Roux Russo Ruiz Sahin Saito
    Sánchez Santos Sasaki Sato Schmidt Schneider Schulz Scott Sharma Shaw Shevchenko Silva Singh Smirnov
    Smith Sokolov Sørensen Soto Sousa Stewart Suzuki Svensson Takahashi Tan Tanaka Taylor Thompson Torres
    Tran Turner Usman Valentine Van-Dijk Vargas Vasquez Vega Verma Vogel Volkov Wagner Walker Walsh Wang
    Ward Watanabe Weber White Williams Wilson Wójcik Wolf Wong Wood Wright Wu Yamamoto Yang Yildiz Young
    Zhang Zhao Zhou Zimmermann
    """.split()
)

TITLE_OPENINGS = tuple(
    """
    Accidental Amber Ancient Arctic Autumn Backstage Barefoot Bitter Blazing Borrowed Brass Broken Burning
    Careless Carnival Cardboard Celestial Charcoal Clockwork Cobalt Copper Counterfeit Crimson Crooked
    Crystal Curious Dancing Daring Desert Distant Divided Double Drifting Dusty Eager Eastern Echoing
    Electric Eleventh Emerald Endless Errant Eternal Evening Faded Faithful Falling Fearless Feral Final
    Flying Foolish Forbidden Forgotten Fragile Frozen Gallant Gentle Ghostly Gilded Glass Golden Grand
    Granite Hidden Hollow Honest Hungry Icy Idle Imaginary Impossible Indigo Infinite Invisible Iron Ivory
    Jagged Jealous Jolly Jubilant Kindred Last Lazy Lemon Little Lonely Lost Loud Lucky Lunar Magnetic
    Marble Masked Mellow Merry Midnight Mirror Misty Modern Moonlit Muddy Mystic Naked Narrow Nervous Ninth
    Noble Northern Numb Ocean Odd Only Opal Orphan Outer Painted Paper Parallel Patient Perfect Phantom
    Plastic Polite Prairie Precious Private Proud Quiet Radiant Rainy Reckless Restless Reluctant Roaring
    Rogue Rolling Rusty Sacred Salty Sapphire Scarlet Secret Seventh Shadow Silent Silver Sleepy Smiling
    Solar Southern Spinning Stolen Stormy Stubborn Sudden Sunken Swift Tangled Tender Third Thirsty Thunder
    Tidal Timid Tropical Twisted Uncertain Unseen Upside Vacant Vagrant Velvet Violet Wandering Wayward
    Western Whispering Wicked Wild Winter Wooden Yellow Yonder Young Zealous
    """.split()
)

TITLE_ENDINGS = tuple(
    """
    Abyss Alibi Alley Almanac Anchor Answer Apology Arcade Archive Armada Arrow Atlas Attic Avenue Ballad
    Balloon Banquet Bargain Bazaar Beacon Bicycle Blizzard Border Boulevard Bouquet Bridge Cabin Calendar
    Canyon Caravan Carousel Cartographer Castle Cavalier Chapel Chorus Cipher Circus Citadel Clan Cliff
    Comet Compass Confession Corridor Courier Crossing Crown Daughter Dawn Delta Detour Diary Dilemma
    Dominion Duel Dynasty Echo Eclipse Elevator Ember Empire Encore Engine Escape Estuary Expedition Fable
    Falcon Farewell Ferry Fiddle Forest Fortune Fountain Frontier Galaxy Gambit Garden Gateway Geyser
    Glacier Gondola Guardian Hammer Harbor Harvest Heist Herald Holiday Horizon Hotel Hourglass Hurricane
    Illusion Impostor Inheritance Island Jester Jigsaw Journey Jungle Jury Kingdom Kitchen Labyrinth Lagoon
    Lantern Legend Letters Library Lighthouse Locket Lullaby Machine Magician Mansion Marathon Market
    Masquerade Meadow Melody Memoir Menagerie Meteor Mirage Monsoon Monument Mosaic Mountain Museum Mutiny
    Nightingale Nocturne Nomad Oasis Oath Observatory Odyssey Opera Oracle Orbit Orchard Outpost Parade
    Paradox Passage Pendulum Pilgrim Pilot Portrait Postcard Prophecy Puzzle Quarry Quest Railway Rainbow
    Rebellion Recipe Refuge Rehearsal Reunion Riddle River Rooftop Runaway Saga Sailor Sanctuary Scandal
    Season Serenade Shelter Shore Signal Skyline Smuggler Sonata Station Stowaway Summit Symphony Tango
    Telegram Theater Thief Tide Tower Trail Trumpet Tunnel Umbrella Vagabond Valley Verdict Village Vineyard
    Volcano Voyage Waltz Warehouse Waterfall Whistle Widow Willow Windmill Witness Workshop Wreck Zephyr
    """.split()
)

STREETS = tuple(
    """
    Abbey Acacia Airport Beech Bridge Canal Castle Cedar Chapel Cherry Church College Commerce Court Dock
    East Elm Factory Ferry Forest Garden Grove Harbour High Hill Hospital Jasmine King Lake Laurel Library
    Lime Linden Main Maple Market Meadow Mill Mosque Museum North Oak Orchard Palm Park Pine Port Priory
    Queen Quarry Railway Republic River Rose School South Spring Square Station Stadium Temple Tower Union
    University Victory Vine West Willow
    """.split()
)

STREET_KINDS = ("Street", "Avenue", "Road", "Lane", "Boulevard", "Way", "Square", "Drive")

CATEGORIES = (
    "Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy",
    "Horror", "Musical", "Mystery", "Romance", "Science Fiction", "Sports", "Thriller",
)  # fmt: skip

LANGUAGES = ("English", "French", "German", "Italian", "Japanese", "Mandarin")

TONES = (
    "quiet", "fast", "bitter-sweet", "sprawling", "deadpan", "tender", "disquieting", "sunny", "restless",
    "wry",
)  # fmt: skip

STORIES = ("story", "portrait", "chronicle", "comedy", "thriller", "tale", "study", "adventure", "fable")

HEROES = (
    "a retired detective", "the younger of two sisters", "a lighthouse keeper", "a travelling chess master",
    "a night nurse", "a forger", "a reluctant mayor", "an apprentice baker", "a cartographer",
    "a stunt pilot", "a widowed botanist", "a street musician", "a translator", "a rookie astronaut",
    "an honest smuggler",
)  # fmt: skip

DEEDS = (
    "must cross a border that no longer exists", "inherits a debt from a stranger",
    "loses one day of every week", "is mistaken for somebody famous", "has until dawn to return a letter",
    "agrees to one last favour", "finds a map drawn in their own hand", "hides a circus elephant",
    "teaches a rival to dance", "wakes up in the wrong century", "bets the family vineyard",
    "answers the wrong telephone",
)  # fmt: skip

PLACES = (
    "Lisbon", "the Andes", "a flooded village", "Old Delhi", "an empty airport", "the Outback", "Marrakesh",
    "a night train", "the Baltic coast", "Buenos Aires", "a desert observatory", "Osaka",
)  # fmt: skip

SPECIAL_FEATURES = ("Trailers", "Commentaries", "Deleted Scenes", "Behind the Scenes")
