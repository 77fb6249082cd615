"""Words and small facts in English and Chinese, from which the sample data is built.

    ANIMALS[0].en, ANIMALS[0].zh

Every table is written as lines with `|` between the columns; `name` columns come in both languages.
"""

# ruff: noqa: E501, SIM905  (tables read best with one entry on a line)

from dataclasses import dataclass


@dataclass(frozen=True)
class Animal:
    """What is said about an animal, in both languages."""

    en: str
    plural: str
    zh: str
    kind: tuple[str, str]
    place: tuple[str, str]
    food: tuple[str, str]
    legs: int
    trait: tuple[str, str]
    """A clause that follows "it" or 它."""


@dataclass(frozen=True)
class Fact:
    """A thing and a clause that is true of it, in both languages."""

    en: str
    zh: str
    clause: tuple[str, str]


KINDS = {"m": ("mammal", "哺乳动物"), "b": ("bird", "鸟类"), "r": ("reptile", "爬行动物"), "i": ("insect", "昆虫")}
KINDS |= {"f": ("fish", "鱼类"), "a": ("amphibian", "两栖动物")}


def _animals(table: str) -> list[Animal]:
    animals = []
    for line in table.strip().splitlines():
        en, plural, zh, kind, legs, place, place_zh, food, food_zh, trait, trait_zh = line.split("|")
        pairs = ((place, place_zh), (food, food_zh))
        animals.append(Animal(en, plural, zh, KINDS[kind], *pairs, int(legs), (trait, trait_zh)))
    return animals


def _facts(table: str) -> list[Fact]:
    rows = [line.split("|") for line in table.strip().splitlines()]
    return [Fact(en, zh, (clause, clause_zh)) for en, zh, clause, clause_zh in rows]


def _pairs(table: str) -> list[tuple[str, str]]:
    return [(en, zh) for en, zh in (item.split("|") for item in table.split(";"))]


ANIMALS = _animals("""
cat|cats|猫|m|4|houses and gardens|房屋和花园|fish and mice|鱼和老鼠|sees well in dim light|在昏暗的光线下也能看清东西
dog|dogs|狗|m|4|homes and villages|家庭和村庄|meat and grain|肉和谷物|has a very keen sense of smell|嗅觉非常灵敏
horse|horses|马|m|4|grasslands|草原|grass and oats|青草和燕麦|can sleep while standing|可以站着睡觉
cow|cows|牛|m|4|barns and meadows|牛棚和草地|grass and hay|青草和干草|chews its food more than once|会反复咀嚼食物
sheep|sheep|绵羊|m|4|hills and meadows|山坡和草地|grass|青草|grows thick wool|长着厚厚的羊毛
rabbit|rabbits|兔子|m|4|fields and burrows|田野和洞穴|leaves and carrots|菜叶和胡萝卜|can turn its long ears toward a sound|能把长耳朵转向声音
elephant|elephants|大象|m|4|savannas and forests|草原和森林|leaves and bark|树叶和树皮|uses its trunk to drink and to lift things|用鼻子喝水和搬东西
giraffe|giraffes|长颈鹿|m|4|savannas|稀树草原|leaves from tall trees|高树上的叶子|has the longest neck of all land animals|是陆地上脖子最长的动物
lion|lions|狮子|m|4|savannas|稀树草原|large plant eaters|大型食草动物|lives in groups called prides|成群生活在一起
tiger|tigers|老虎|m|4|forests|森林|deer and wild pigs|鹿和野猪|hunts alone and swims well|独自捕猎，而且擅长游泳
bear|bears|熊|m|4|mountains and forests|山地和森林|berries, roots and fish|浆果、根茎和鱼|spends much of the winter asleep|冬天大部分时间都在睡觉
panda|pandas|大熊猫|m|4|bamboo forests|竹林|bamboo|竹子|eats for many hours every day|每天要花很多个小时吃东西
monkey|monkeys|猴子|m|4|trees in warm forests|温暖森林的树上|fruit and seeds|水果和种子|uses its hands to hold branches|能用手抓住树枝
wolf|wolves|狼|m|4|forests and plains|森林和平原|deer and rabbits|鹿和兔子|calls to its pack by howling|用嚎叫呼唤同伴
fox|foxes|狐狸|m|4|woods and fields|树林和田野|mice, birds and berries|老鼠、鸟和浆果|has a bushy tail that keeps it warm|有一条能保暖的蓬松尾巴
camel|camels|骆驼|m|4|deserts|沙漠|dry grass and thorny plants|干草和带刺的植物|stores fat in its hump|把脂肪储存在驼峰里
kangaroo|kangaroos|袋鼠|m|4|Australian grasslands|澳大利亚的草原|grass and shrubs|青草和灌木|carries its young in a pouch|把幼崽放在育儿袋里
bat|bats|蝙蝠|m|2|caves and old buildings|洞穴和老房子|insects or fruit|昆虫或水果|finds its way by listening to echoes|靠听回声来辨别方向
whale|whales|鲸|m|0|oceans|海洋|small sea animals|海里的小动物|must come up to the surface to breathe|必须浮到水面上呼吸
dolphin|dolphins|海豚|m|0|warm seas|温暖的海域|fish and squid|鱼和鱿鱼|speaks to others with clicks and whistles|用咔嗒声和哨声交流
squirrel|squirrels|松鼠|m|4|parks and woods|公园和树林|nuts and seeds|坚果和种子|buries food for the winter|会埋藏过冬的食物
hedgehog|hedgehogs|刺猬|m|4|gardens and hedges|花园和树篱|worms and beetles|蚯蚓和甲虫|rolls into a ball when it is afraid|害怕时会缩成一个球
chicken|chickens|鸡|b|2|yards and coops|院子和鸡舍|grain and insects|谷物和昆虫|lays eggs almost every day|几乎每天都会下蛋
duck|ducks|鸭子|b|2|ponds and rivers|池塘和河流|water plants and snails|水草和螺|has webbed feet for swimming|有适合游泳的脚蹼
owl|owls|猫头鹰|b|2|forests and barns|森林和谷仓|mice and other small animals|老鼠等小动物|flies almost without a sound|飞行时几乎没有声音
eagle|eagles|鹰|b|2|high mountains|高山|fish, rabbits and snakes|鱼、兔子和蛇|can spot its prey from far away|能从很远的地方发现猎物
penguin|penguins|企鹅|b|2|cold southern waters|寒冷的南方海域|fish and krill|鱼和磷虾|cannot fly but swims very fast|不会飞，但是游得很快
parrot|parrots|鹦鹉|b|2|tropical forests|热带森林|fruit, nuts and seeds|水果、坚果和种子|can copy the sounds of human speech|能模仿人说话的声音
swallow|swallows|燕子|b|2|villages and fields|村庄和田野|flying insects|飞虫|flies south before winter comes|在冬天来临之前飞往南方
crane|cranes|鹤|b|2|wetlands|湿地|fish, frogs and grain|鱼、蛙和谷粒|dances when it looks for a mate|求偶时会跳舞
snake|snakes|蛇|r|0|deserts, forests and fields|沙漠、森林和田野|mice, eggs and frogs|老鼠、蛋和青蛙|sheds its skin as it grows|在成长过程中会蜕皮
turtle|turtles|乌龟|r|4|ponds and warm seas|池塘和温暖的海域|plants and small animals|植物和小动物|carries a hard shell on its back|背上有坚硬的壳
crocodile|crocodiles|鳄鱼|r|4|warm rivers|温暖的河流|fish and larger animals|鱼和较大的动物|waits in the water without moving|会在水里一动不动地等待
lizard|lizards|蜥蜴|r|4|dry and rocky places|干燥多石的地方|insects|昆虫|warms itself in the sun|靠晒太阳取暖
frog|frogs|青蛙|a|4|ponds and wet meadows|池塘和潮湿的草地|insects and worms|昆虫和蠕虫|begins its life as a tadpole|幼年时是蝌蚪
bee|bees|蜜蜂|i|6|hives and flower meadows|蜂巢和花丛|nectar and pollen|花蜜和花粉|makes honey and helps flowers make seeds|会酿蜜，还帮助花结出种子
ant|ants|蚂蚁|i|6|nests under the ground|地下的巢穴|seeds and small insects|种子和小昆虫|can carry many times its own weight|能搬动比自己重许多倍的东西
butterfly|butterflies|蝴蝶|i|6|gardens and meadows|花园和草地|nectar|花蜜|begins its life as a caterpillar|幼年时是毛毛虫
dragonfly|dragonflies|蜻蜓|i|6|lakes and streams|湖泊和溪流|mosquitoes and flies|蚊子和苍蝇|can fly backward and stand still in the air|能倒着飞，也能停在半空中
shark|sharks|鲨鱼|f|0|seas and oceans|海洋|fish and seals|鱼和海豹|loses and replaces its teeth all its life|一生都在换牙
salmon|salmon|三文鱼|f|0|rivers and cold seas|河流和寒冷的海域|insects and small fish|昆虫和小鱼|returns to the river where it was born|会回到自己出生的河流
goldfish|goldfish|金鱼|f|0|ponds and bowls|池塘和鱼缸|small plants and flakes|水草和鱼食|has no eyelids|没有眼睑
""")

THINGS = _facts("""
water|水|turns into ice when it gets cold enough|温度足够低时会结成冰
ice|冰|floats because it is lighter than the water around it|比周围的水轻，所以能浮起来
salt|盐|dissolves in water and makes food taste better|能溶于水，还能让食物更有味道
sugar|糖|gives the body quick energy|能很快给身体提供能量
iron|铁|rusts when it stays wet for a long time|长期潮湿就会生锈
gold|黄金|does not rust and is easy to shape|不会生锈，而且容易加工
copper|铜|carries electricity well|导电性能很好
glass|玻璃|is made from sand that is heated until it melts|是把沙子加热到熔化制成的
paper|纸|is made from the fibres of plants|是用植物纤维做成的
wood|木头|comes from trees and burns easily|来自树木，容易燃烧
rubber|橡胶|bends and returns to its shape|弯曲以后能恢复原来的形状
cotton|棉花|is soft and lets the skin breathe|柔软而且透气
wool|羊毛|keeps the body warm even when it is damp|即使有点潮湿也能保暖
silk|丝绸|is spun from the thread of a caterpillar|是用蚕吐的丝织成的
a compass|指南针|shows which way is north|能指示北方
a thermometer|温度计|tells how warm or cold something is|能测量冷热
a magnet|磁铁|pulls pieces of iron toward it|能吸引铁制的东西
a mirror|镜子|throws light back, so that we see ourselves|能反射光线，让我们看见自己
a telescope|望远镜|makes distant things look closer|能让远处的东西看起来更近
a microscope|显微镜|makes very small things visible|能让人看见非常小的东西
an umbrella|雨伞|keeps the rain off|可以挡雨
a clock|时钟|tells what time it is|告诉我们现在几点
a bridge|桥|lets people cross a river without getting wet|让人不湿脚就能过河
a dam|水坝|holds back a river and can make electricity|能拦住河水，还可以发电
a battery|电池|stores energy for small machines|为小型机器储存能量
a candle|蜡烛|gives light while its wax slowly burns|燃烧时会慢慢发出光亮
a bicycle|自行车|moves when its pedals are pushed|踩动踏板就能前进
a map|地图|shows places and the roads between them|标出了各个地方和它们之间的道路
a library|图书馆|lends books to people who want to read|把书借给想读书的人
a hospital|医院|is a place where sick people get help|是病人得到救治的地方
the heart|心脏|pumps blood through the whole body|把血液送到全身
the lungs|肺|take oxygen from the air|从空气中吸取氧气
the stomach|胃|breaks food into smaller parts|把食物变成更小的部分
the brain|大脑|controls how we move, think and feel|控制我们的行动、思考和感觉
the skin|皮肤|protects the body and feels touch|保护身体，还能感觉触碰
a seed|种子|grows into a plant when it has water and warmth|有了水和温暖就能长成植物
a leaf|叶子|uses sunlight to make food for the plant|利用阳光为植物制造养分
a root|根|holds a plant in place and drinks water|固定植物并吸收水分
the moon|月亮|shines because it reflects the light of the sun|因为反射太阳光而发亮
the sun|太阳|is a star that gives the Earth light and warmth|是一颗给地球带来光和热的恒星
a volcano|火山|can push hot melted rock out of the ground|会从地下喷出炽热的岩浆
a desert|沙漠|gets very little rain|雨水非常少
a rainbow|彩虹|appears when sunlight passes through drops of water|在阳光穿过水滴时出现
a cloud|云|is made of tiny drops of water or ice|由细小的水滴或冰晶组成
the wind|风|is air that moves from one place to another|是从一处流向另一处的空气
""")

CAPITALS = [
    tuple(item.split("|"))
    for item in (
        "China|中国|Beijing|北京|Asia|亚洲;Japan|日本|Tokyo|东京|Asia|亚洲;South Korea|韩国|Seoul|首尔|Asia|亚洲;"
        "India|印度|New Delhi|新德里|Asia|亚洲;Thailand|泰国|Bangkok|曼谷|Asia|亚洲;Vietnam|越南|Hanoi|河内|Asia|亚洲;"
        "Mongolia|蒙古|Ulaanbaatar|乌兰巴托|Asia|亚洲;Nepal|尼泊尔|Kathmandu|加德满都|Asia|亚洲;"
        "France|法国|Paris|巴黎|Europe|欧洲;Germany|德国|Berlin|柏林|Europe|欧洲;Italy|意大利|Rome|罗马|Europe|欧洲;"
        "Spain|西班牙|Madrid|马德里|Europe|欧洲;Portugal|葡萄牙|Lisbon|里斯本|Europe|欧洲;"
        "Greece|希腊|Athens|雅典|Europe|欧洲;Norway|挪威|Oslo|奥斯陆|Europe|欧洲;Poland|波兰|Warsaw|华沙|Europe|欧洲;"
        "Sweden|瑞典|Stockholm|斯德哥尔摩|Europe|欧洲;Austria|奥地利|Vienna|维也纳|Europe|欧洲;"
        "Ireland|爱尔兰|Dublin|都柏林|Europe|欧洲;Finland|芬兰|Helsinki|赫尔辛基|Europe|欧洲;"
        "Egypt|埃及|Cairo|开罗|Africa|非洲;Kenya|肯尼亚|Nairobi|内罗毕|Africa|非洲;Ghana|加纳|Accra|阿克拉|Africa|非洲;"
        "Morocco|摩洛哥|Rabat|拉巴特|Africa|非洲;Ethiopia|埃塞俄比亚|Addis Ababa|亚的斯亚贝巴|Africa|非洲;"
        "Canada|加拿大|Ottawa|渥太华|North America|北美洲;Mexico|墨西哥|Mexico City|墨西哥城|North America|北美洲;"
        "Cuba|古巴|Havana|哈瓦那|North America|北美洲;Brazil|巴西|Brasília|巴西利亚|South America|南美洲;"
        "Peru|秘鲁|Lima|利马|South America|南美洲;Chile|智利|Santiago|圣地亚哥|South America|南美洲;"
        "Argentina|阿根廷|Buenos Aires|布宜诺斯艾利斯|South America|南美洲;"
        "Australia|澳大利亚|Canberra|堪培拉|Oceania|大洋洲;New Zealand|新西兰|Wellington|惠灵顿|Oceania|大洋洲"
    ).split(";")
]
"""Country, capital and continent, each in English and Chinese."""

PEOPLE = _pairs(
    "Anna|小安;Ben|小本;Clara|小兰;David|大卫;Emma|艾玛;Felix|小飞;Grace|小雅;Henry|小亨;Iris|小艺;Jack|小杰;Kate|小凯;"
    "Leo|小乐;Mia|小米;Noah|小诺;Olivia|小薇;Peter|小彼;Rose|小玫;Sam|小山;Tina|小婷;Victor|小维;Wendy|小雯;Zoe|小佐"
)
PLACES = _pairs(
    "at the market|在集市上;in the park|在公园里;by the river|在河边;at school|在学校里;in the kitchen|在厨房里;"
    "on the beach|在海滩上;in the library|在图书馆里;at the station|在车站;in the garden|在花园里;on the hill|在山坡上;"
    "in the museum|在博物馆里;at the harbour|在港口;in the forest|在森林里;at the bakery|在面包店里"
)
ITEMS = _pairs(
    "apples|个苹果;pears|个梨;oranges|个橙子;eggs|个鸡蛋;books|本书;pencils|支铅笔;stamps|张邮票;shells|个贝壳;coins|枚硬币;"
    "marbles|颗弹珠;candles|根蜡烛;flowers|朵花;buttons|颗纽扣;stickers|张贴纸;cups|个杯子;balloons|个气球;peaches|个桃子;"
    "cookies|块饼干;stones|块石头;tickets|张票"
)
LOST = _pairs(
    "a red scarf|一条红围巾;an old key|一把旧钥匙;a blue kite|一只蓝风筝;a small wallet|一个小钱包;a silver ring|一枚银戒指;"
    "a brown hat|一顶棕色的帽子;a music box|一个音乐盒;a letter|一封信;a green umbrella|一把绿伞;a paper boat|一只纸船;"
    "a wooden flute|一支木笛;a notebook|一本笔记本;a lucky coin|一枚幸运币;a torn map|一张破地图"
)
WEATHER = _pairs(
    "sunny|晴朗;cloudy|多云;windy|多风;rainy|多雨;foggy|多雾;cold|寒冷;warm|温暖;cool|凉爽;pleasant|宜人;dry|干燥"
)
FEELINGS = _pairs(
    "happy|高兴;proud|自豪;calm|平静;thankful|感激;relieved|放心;cheerful|愉快;surprised|惊讶;hopeful|充满希望"
)
LESSONS = _pairs(
    "asking for help is nothing to be ashamed of|请人帮忙并不丢脸;small acts of kindness matter|小小的善意也很重要;"
    "patience often pays off|耐心常常会有回报;it is better to tell the truth|说实话总是更好;"
    "friends are worth more than things|朋友比东西更珍贵;a careful plan saves time|仔细的计划能节省时间;"
    "everyone makes mistakes|每个人都会犯错;practice makes hard things easy|多练习就能把难事变简单;"
    "sharing makes joy larger|分享会让快乐变多;it is never too late to try again|任何时候重新尝试都不晚"
)
WORDS = _pairs(
    "tree|树;house|房子;road|路;river|河;mountain|山;friend|朋友;teacher|老师;morning|早晨;evening|傍晚;window|窗户;door|门;"
    "bread|面包;milk|牛奶;rice|米饭;tea|茶;music|音乐;story|故事;question|问题;answer|答案;number|数字;letter|信;school|学校;"
    "garden|花园;winter|冬天;summer|夏天;spring|春天;autumn|秋天;star|星星;light|光;shadow|影子;voice|声音;dream|梦;"
    "city|城市;village|村庄;train|火车;ship|船;table|桌子;chair|椅子;shoe|鞋;coat|外套;rain|雨;snow|雪;fire|火;stone|石头"
)
DAYS = _pairs(
    "Monday|星期一;Tuesday|星期二;Wednesday|星期三;Thursday|星期四;Friday|星期五;Saturday|星期六;Sunday|星期日"
)

HOWTOS = [
    ("make a cup of tea", "泡一杯茶",
     "boil fresh water;warm the cup;put the leaves in the cup;pour the hot water over them;wait three minutes",
     "烧开新鲜的水;温一温杯子;把茶叶放进杯里;倒入热水;等三分钟"),
    ("plant a seed", "种下一颗种子",
     "fill a pot with soil;press a small hole into it;drop in the seed;cover it lightly;water it and put it in the light",
     "往花盆里装满土;按出一个小坑;放入种子;轻轻盖上土;浇水并放到有光的地方"),
    ("wash your hands", "洗手",
     "wet your hands;take some soap;rub the palms, the backs and between the fingers;rinse well;dry them with a clean towel",
     "把手弄湿;取一点肥皂;搓手心、手背和指缝;冲洗干净;用干净的毛巾擦干"),
    ("boil an egg", "煮鸡蛋",
     "put the egg in a pot;cover it with cold water;bring the water to a boil;wait eight minutes;cool the egg in cold water",
     "把鸡蛋放进锅里;加冷水没过鸡蛋;把水烧开;等八分钟;放进冷水里冷却"),
    ("write a letter", "写一封信",
     "write the date;greet the reader;say why you are writing;tell your news in order;sign your name at the end",
     "写上日期;向收信人问好;说明写信的原因;按顺序讲述近况;在最后签名"),
    ("clean a window", "擦窗户",
     "wipe off the dust;mix warm water with a little soap;wash the glass;pull off the water from top to bottom;dry the edges",
     "擦去灰尘;在温水里加一点肥皂;清洗玻璃;从上到下刮去水;擦干边缘"),
    ("learn a new word", "学会一个新词",
     "read it aloud;look up what it means;write a sentence with it;use it in a talk;repeat it the next day",
     "大声读出来;查清它的意思;用它写一个句子;在谈话中使用它;第二天再复习一遍"),
    ("fix a flat bicycle tyre", "修补自行车轮胎",
     "take off the wheel;pull out the tube;find the hole in a bowl of water;dry it and glue on a patch;pump up the tyre",
     "卸下车轮;取出内胎;放进水盆里找到破洞;擦干并贴上补片;给轮胎打气"),
    ("cook rice", "煮米饭",
     "rinse the rice twice;add one and a half cups of water for each cup;bring it to a boil;cover it and lower the heat;"
     "let it rest before serving",
     "把米淘洗两遍;每杯米加一杯半水;把水烧开;盖上盖子转小火;焖一会儿再盛出来"),
    ("prepare for a test", "准备考试",
     "list the topics;start with the hardest one;solve a few problems each day;explain them to a friend;sleep well before it",
     "列出要考的内容;从最难的开始;每天做几道题;讲给朋友听;考前睡个好觉"),
    ("pack for a trip", "收拾行李",
     "check the weather;write a list;choose clothes that go together;put heavy things at the bottom;keep papers within reach",
     "查看天气;写一张清单;挑选能搭配的衣服;把重的东西放在底部;证件放在随手能拿到的地方"),
    ("borrow a book", "借书",
     "find the book on the shelf;show your card;ask when it is due;read it with clean hands;bring it back in time",
     "在书架上找到书;出示借书证;问清归还日期;用干净的手翻阅;按时归还"),
]  # fmt: skip
"""What to do, and its steps, in English and Chinese."""
