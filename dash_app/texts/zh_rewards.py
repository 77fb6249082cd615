"""关于奖励与样本的中文文字。"""

TEXTS: dict[str, str] = {
    "task.tab_samples": "样本",
    "samples.title": "模型的回答",
    "samples.hint": "训练中的提示、模型的回答及其得到的奖励。",
    "samples.order": "显示",
    "samples.newest": "全部，最新在前",
    "samples.least": "奖励最低",
    "samples.most": "奖励最高",
    "samples.range": "指定奖励范围",
    "samples.reward": "奖励",
    "samples.step": "步数",
    "samples.from": "从",
    "samples.to": "到",
    "samples.download": "下载",
    "js.samples_step": "步",
    "js.samples_prompt": "提示",
    "js.samples_completion": "回答",
    "js.samples_reward": "奖励",
    "js.samples_advantage": "优势",
    "js.samples_tokens": "词元",
    "js.samples_gt": "正确答案：{answers}",
    "js.samples_cut": "截断",
    "js.samples_cut_hint": "回答达到了长度上限。",
    "js.samples_more": "展开",
    "js.samples_less": "收起",
    "js.samples_newer": "较新的样本",
    "js.samples_older": "较早的样本",
    "js.samples_steps": "第 {from}–{to} 步",
    "js.samples_empty": "还没有样本",
    "js.samples_empty_hint": "训练开始后，会自动出现在这里。",
    "js.samples_none": "没有符合筛选条件的样本",
    "js.samples_none_hint": "换一个奖励范围或步数试试。",
    "js.samples_none_here": "较新的样本中没有符合条件的",
    "js.samples_none_here_hint": "可用下面的按钮继续查找更早的样本。",
    "rewards.add": "添加奖励",
    "rewards.as_text": "以文本编辑",
    "js.reward_n": "奖励 {n}",
    "js.reward_kind": "奖励什么",
    "js.reward_remove": "删除奖励 {n}",
    "js.reward_removed": "已删除“{title}”。",
    "js.reward_unreadable": "下面的文本不是奖励列表，改正后即可显示。",
    "js.reward_none": "还没有奖励，请添加。",
    "js.required": "必填",
    "group.rollout": "回答",
    "group.rollout.hint": "模型如何写出用来评分的回答。",
    "group.rewards": "奖励",
    "group.rewards.hint": "依据什么奖励回答；各项奖励加权求和。",
}

KINDS: dict[str, tuple[str, str]] = {
    "answer": ("正确答案", "回答与数据 gt 中的某个正确答案相同得 1，否则得 0。"),
    "length": ("长度", "文本长度合适得 1，否则得 -1。"),
    "think": (
        "思考",
        (
            "含 </think> 的文本：思考长度合适得 1，否则得 -0.5；另外恰有一个 </think> 得 0.25，否则得"
            " -0.25。其他文本得 0。这是 MiniMind v3 的规则。"
        ),
    ),
    "tags": (
        "标签",
        (
            "文本符合 <think>…</think><answer>…</answer> 及其换行得 0.5，四个标签中每个恰好出现一次的"
            "各得 0.25。这是 MiniMind v2 的规则。"
        ),
    ),
    "repetition": ("重复", "思考之后的回答中，前面已出现过的三词组所占比例，取负值，最多 -0.5。"),
    "regex": ("匹配模式", "文本任何位置匹配该模式得 1，否则得 0。"),
    "model": ("奖励模型", "奖励模型对对话和回答的评分，在 -3 到 3 之间。"),
    "function": ("Python 函数", "您自己的 Python 函数对每个文本返回的分数。"),
}
"""各类奖励：名称与说明。"""

OPTIONS: dict[str, str] = {
    "weight": "权重",
    "name": "名称",
    "mode": "比较方式",
    "min_chars": "最少字符数",
    "max_chars": "最多字符数",
    "pattern": "模式",
    "path": "模型文件夹",
    "function": "函数",
}

OPTION_HELP: dict[str, str] = {
    "weight": "得分乘以它；负数表示惩罚，0 表示只记录。",
    "name": "曲线的名称 reward/{name}。留空则用类型名；同一类型出现两次时须填写。",
    "mode": (
        "numeric：取 <answer>…</answer> 中的最后一个数，没有则取 \\boxed{…} 中的，再没有则取思考之"
        "后的文本中的，按数值比较。exact：把整个回答当作文本比较，不分大小写与全半角。"
    ),
    "length.min_chars": "最少字符数，首尾空白不计。",
    "length.max_chars": "最多字符数。",
    "think.min_chars": "思考最少的字符数。",
    "think.max_chars": "思考最多的字符数。",
    "pattern": "Python 写法的正则表达式，例如 ^yes\\b。",
    "path": "Hugging Face 格式、只有一个输出的序列分类模型文件夹，须带分词器。",
    "function": (
        "模块:函数。以 trainer.rewards.Sample 列表调用，为每个样本返回一个数。环境变量 MINIMIND_R"
        "EWARD_MODULES 须列出该模块。"
    ),
}
