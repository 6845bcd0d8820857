"""Further wordings by class, each written as a model would say it and with no look at the rules.

A row is (response, what a person reads), under the question and options that it answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Row = tuple[str, str | None]


def _options(*texts: str) -> dict[str, str]:
    return dict(zip("ABCDEFGH", texts, strict=False))


OPTION_ROWS: tuple[tuple[str, str, Mapping[str, str], tuple[Row, ...]], ...] = (
    ("direct answer, then why", "Which fruit is in the bowl?", _options("apple", "banana", "cherry", "date"), (
        ("B\n\nThe bowl holds one long yellow fruit. Choice A would be red and round, and D is brown.", "B"),
        ("Answer is B. Rationale: A and C are round; the fruit in the bowl is elongated.", "B"),
        ("B: the fruit is long and yellow, so A is out and C is out.", "B"),
        ("Banana. It cannot be an apple because apples are round.", "B"),
        ("(b) banana — compare this with (a), which is round.", "B"),
        ("[B]\nWhy not [A]? Because the peel is yellow.", "B"),
        ("**B.** A common mistake is to choose A here.", "B"),
        ("Option B\n\nJustification:\n1. A is red.\n2. C is small.\n3. D is brown.", "B"),
        ("The answer is B) banana. Options A) apple, C) cherry and D) date do not match.", "B"),
        ("B is what I see. Someone might confuse it with D, but dates are much smaller.", "B"),
        ("Correct answer: B\nExplanation: The picture shows a banana, while A, C, and D are not present.", "B"),
        ("B\n---\nThe fruit in option C is too small to match.", "B"),
        ("Choice (B), since choice (A) has the wrong colour.", "B"),
        ("`B`\n\nD was tempting.", "B"),
        ("**Answer:** B. banana\n\n**Explanation:** The fruit has the shape of a banana. An apple (A) would be round.", "B"),
    )),
    ("a hint's own wording", "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.\nQuestion: Which fruit is in the bowl?", _options("apple", "banana", "cherry", "date"), (
        ("The fruit in the bowl is yellow and long. The correct option letter is B.", "B"),
        ("The correct option letter is (B).", "B"),
        ("Correct option letter: B", "B"),
        ("The fruit is a banana, so the correct option letter at the end is B.", "B"),
        ("Option letter: B", "B"),
        ("The option letter is B.", "B"),
        ("Letter: B", "B"),
        ("Provide the correct option letter: **B**", "B"),
        ("The bowl holds a banana.\n\nCorrect option: (B) banana", "B"),
        ("The bowl holds a banana.\n\nB", "B"),
        ("The best option among the choices is B.", "B"),
        ("According to the picture, the fruit is a banana. Therefore the correct option is: **B**", "B"),
        ("Please answer with the option letter.", None),
        ("Answer with the option's letter from the given choices directly: B", "B"),
        ("Answer the question using a single letter: B", "B"),
        ("As shown, e.g., A, B, C, D.", None),
    )),
    ("Chinese and full width", "图中碗里是什么水果？", _options("苹果", "香蕉", "樱桃", "枣"), (
        ("选项B是正确的。", "B"),
        ("正确选项：B", "B"),
        ("正确选项为Ｂ。", "B"),
        ("我选择B。", "B"),
        ("本题选B。", "B"),
        ("因此正确答案为：B、香蕉", "B"),
        ("答案：（Ｂ）香蕉", "B"),
        ("B、香蕉", "B"),
        ("B．香蕉", "B"),
        ("香蕉", "B"),
        ("图中碗里是香蕉。", "B"),
        ("图中的水果是黄色的，长条形，所以是香蕉，选B。", "B"),
        ("【答案】B\n【解析】A项是圆形的，不符合题意。", "B"),
        ("【解析】A错误，C错误，D错误，故选B。", "B"),
        ("最终答案是**B**。", "B"),
        ("综上所述，答案为 B。", "B"),
        ("答案是B，因为A是红色的。", "B"),
        ("无法确定。", None),
        ("抱歉，我看不到图片。", None),
        ("选项有A、B、C、D。", None),
        ("不是A，而是B。", "B"),
        ("应该选择选项B（香蕉）。", "B"),
        ("\\boxed{\\text{B. 香蕉}}", "B"),
        ("答案不是A。", None),
        ("A或B", None),
        ("故答案为：B", "B"),
    )),
    ("formulas as options", "Which equation describes the curve?", _options("y = x^2", "y = -x^2", "y = x^2 + 1", "y = 2x"), (
        ("y = -x^2", "B"), ("$y=-x^2$", "B"), ("The curve opens downward, so y = -x².", "B"), ("\\boxed{y = x^2 + 1}", "C"), ("\\boxed{y=x^{2}+1}", "C"),
        ("The equation is $y = x^2$.", "A"), ("The curve is a line: $$y = 2x$$", "D"), ("y = x^2 - 1", None), ("The curve is y = x^2 shifted up by one: y = x^2 + 1.", "C"),
        ("(B) $y = -x^2$", "B"), ("The answer is (C) y = x^2 + 1", "C"), ("y = 2 x", "D"), ("It is not y = x^2. The answer is y = -x^2.", "B"),
    )),
    ("fractions as options", "What is the probability?", _options("1/2", "1/3", "1/4", "2/3"), (
        ("\\frac{1}{3}", "B"), ("\\boxed{\\frac{1}{3}}", "B"), ("\\dfrac{2}{3}", "D"), ("The probability is 1/3.", "B"), ("P = 1/4", "C"), ("The probability is one third.", "B"), ("1 - 2/3 = 1/3", "B"), ("$\\tfrac12$", "A"),
        ("The probability is $\\frac{2}{6} = \\frac{1}{3}$.", "B"), ("0.5", "A"), ("The probability is 3/4.", None), ("1/3 or 2/3", None), ("50%", "A"),
    )),
    ("signed numbers as options", "What is the slope of the line?", _options("-2", "2", "-1/2", "1/2"), (
        ("-2", "A"), ("$-2$", "A"), ("2", "B"), ("\u22122", "A"), ("The slope is -2.", "A"), ("The slope is 2, not -2.", "B"), ("m = -1/2", "C"), ("\\boxed{-\\frac{1}{2}}", "C"), ("The slope is negative two.", "A"),
        ("slope = (4 - 0)/(0 - 2) = -2", "A"), ("rise over run is 4/2 = 2, and the line goes down, so the slope is -2", "A"), ("The slope is 3.", None),
    )),
    ("units in options", "How long is the pencil?", _options("5 cm", "50 cm", "5 m", "0.5 cm"), (
        ("5 cm", "A"), ("5cm", "A"), ("5 centimeters", "A"), ("The pencil is 5 cm long.", "A"), ("The pencil is 50 cm long.", "B"), ("5 m", "C"), ("5 meters", "C"), ("0.5 cm", "D"), ("The length is 5\\,\\text{cm}.", "A"), ("\\boxed{5\\ \\mathrm{cm}}", "A"),
        ("7 cm", None), ("It spans from 0 to 5 on the ruler, so it is 5 cm.", "A"),
    )),
    ("percentages as options", "What share of pupils walk?", _options("20%", "25%", "30%", "45%"), (
        ("25%", "B"), ("25 %", "B"), ("25 percent", "B"), ("25\\%", "B"), ("$25\\%$", "B"), ("About 25% of the pupils walk.", "B"), ("A quarter of the pupils, i.e. 25%.", "B"), ("0.25", "B"), ("100% - 30% - 45% = 25%", "B"), ("60%", None), ("Walking: 25% (car: 30%, bus: 45%)", "B"),
        ("The bus has 45% and the car 30%, so the pupils who walk make 25%.", "B"),
    )),
    ("bold, headings and code", "Which shape comes next?", _options("circle", "square", "triangle", "star"), (
        ("## Answer\nC", "C"), ("## Answer: **C**", "C"), ("**Final answer**\n\n**C**", "C"), ("> C", "C"), ("- **C**", "C"), ("* C. triangle", "C"), ("**The correct answer is C.**", "C"), ("__C__", "C"), ("*C*", "C"), ("***C. triangle***", "C"), ("```\nC\n```", "C"),
        ("### Conclusion\nThe next shape is a **triangle**.", "C"), ("**Triangle**", "C"), ("**Correct Answer: (C) triangle** ✅", "C"), ("The next shape is the **triangle** (Option C).", "C"), ("👉 C", "C"), ("✅ **C**", "C"), ("**Answer**: `C`", "C"),
    )),
    ("LaTeX text", "Which shape comes next?", _options("circle", "square", "triangle", "star"), (
        ("\\text{C}", "C"), ("$\\text{C}$", "C"), ("\\(\\boxed{\\text{C}}\\)", "C"), ("\\boxed{\\mathrm{C}}", "C"), ("\\boxed{\\mathbf{C}}", "C"), ("\\boxed{\\text{(C)}}", "C"), ("\\boxed{\\text{C) triangle}}", "C"), ("\\boxed{\\text{triangle}}", "C"), ("$\\boxed{\\text{Answer: C}}$", "C"),
        ("\\[\n\\text{The answer is } \\boxed{C}\n\\]", "C"), ("\\boxed{\\textit{C}}", "C"), ("\\text{Answer: }C", "C"), ("$$\\boxed{\\textbf{(C)}\\ \\text{triangle}}$$", "C"), ("\\fbox{C}", "C"), ("\\boxed{ C }.", "C"), ("\\boxed C", "C"),
    )),
    ("tables and lists", "Which shape comes next?", _options("circle", "square", "triangle", "star"), (
        ("| Option | Fits? |\n| --- | --- |\n| A | no |\n| B | no |\n| C | yes |\n| D | no |\n\nThe answer is C.", "C"),
        ("1. The first shape is a circle.\n2. The second shape is a square.\n3. The third shape must be a triangle.\n\nAnswer: C", "C"),
        ("A: circle - does not continue the pattern.\nB: square - already used.\nC: triangle - continues the pattern.\nD: star - has too many corners.\n\nSo, C.", "C"),
        ("- A: ❌\n- B: ❌\n- C: ✅\n- D: ❌", "C"),
        ("A. circle (incorrect)\nB. square (incorrect)\nC. triangle (correct)\nD. star (incorrect)", "C"),
        ("Step 1: A is a circle.\nStep 2: B is a square.\nStep 3: therefore the next is C.", "C"),
        ("| Step | Shape |\n|---|---|\n| 1 | circle |\n| 2 | square |\n\n**C**", "C"),
        ("1. circle\n2. square\n3. triangle\n4. star", None),
        ("A. circle\nB. square\nC. triangle\nD. star", None),
        ("The choices are:\nA. circle\nB. square\nC. triangle\nD. star\nMy choice: C", "C"),
    )),
    ("several boxes", "Which shape comes next?", _options("circle", "square", "triangle", "star"), (
        ("First \\boxed{A}. After checking again, \\boxed{C}.", "C"), ("\\boxed{C} \\boxed{C}", "C"), ("Step 1 gives \\boxed{3} corners. The answer is \\boxed{C}.", "C"), ("\\boxed{C}\n\nFinal: \\boxed{\\text{C}}", "C"), ("\\boxed{\\boxed{C}}", "C"),
        ("So we have \\boxed{triangle}, that is \\boxed{C}.", "C"), ("The answer is C.\n\n\\boxed{C}", "C"), ("<answer>\\boxed{C}</answer>", "C"), ("\\boxed{C}</answer>", "C"), ("<answer>C", "C"),
    )),
    ("corrections", "Which shape comes next?", _options("circle", "square", "triangle", "star"), (
        ("The answer is A. Wait, no, it's C.", "C"), ("A... wait, that repeats the first one. C.", "C"), ("B. Hmm, let me recheck. Actually, the answer is C.", "C"), ("I said A, but on reflection the answer is C.", "C"), ("The answer is B — sorry, I meant C.", "C"),
        ("Answer: A\n\nCorrection: Answer: C", "C"), ("The answer is A. Let me double check... Yes, the corners grow by one, so the answer is C.", "C"), ("Initially I thought B. Scratch that. It's C.", "C"), ("It's D. No, it's C.", "C"), ("The answer is C. Let me double-check: A has no corners, B has four. Yes, C.", "C"),
        ("The answer is A? No. The answer is C.", "C"), ("Apologies for the mistake. The correct answer is C.", "C"),
    )),
    ("refusals", "Which shape comes next?", _options("circle", "square", "triangle", "star"), (
        ("I'm unable to view images, so I can't pick between A, B, C and D.", None), ("I can't answer that without seeing the figure.", None), ("Sorry, but the image did not load.", None), ("As a text-based AI, I do not have access to the figure. Option A?", None), ("There is no image. Could you upload it?", None),
        ("It is not possible to choose between the options.", None), ("None of the options is correct.", None), ("None of the above.", None), ("I would need more context to decide between circle and square.", None), ("The figure doesn't provide enough information to determine the next shape.", None),
        ("Unable to determine.", None), ("unknown", None), ("All of the above", None), ("Any of them could be right.", None), ("Let me analyze the image.", None), ("I refuse to answer.", None), ("A, B, C or D?", None), ("Each option has merits: A is round, C has corners.", None),
    )),
    ("options repeated, then one", "Which shape comes next?", _options("circle", "square", "triangle", "star"), (
        ("Question: Which shape comes next? (A) circle (B) square (C) triangle (D) star\nAnswer: (C)", "C"), ("Options: A. circle B. square C. triangle D. star. The one that fits is C.", "C"), ("Given the options circle, square, triangle and star, the next one is the triangle.", "C"),
        ("Of the four options, the triangle is the one that continues the series.", "C"), ("Among A, B, C and D, C fits best.", "C"), ("Between B and C, I would go with C.", "C"), ("Neither A nor B fits, and D is not in the series; C it is.", "C"), ("A and D are clearly wrong. B is used already. That leaves C.", "C"), ("Only C continues the pattern; A, B and D break it.", "C"),
        ("Whereas A, B, and D all repeat a shape, C does not. C.", "C"), ("Not A. Not B. Not D. So C.", "C"), ("All options except C repeat a shape, so C is the answer.", "C"), ("Everything but C can be eliminated.", "C"), ("The only option left is C.", "C"),
    )),
    ("thinking tags", "Which shape comes next?", _options("circle", "square", "triangle", "star"), (
        ("<think>\nOkay, so the answer could be A... the answer is A? No.\n</think>\n\nC", "C"), ("<think></think>C", "C"), ("</think>\nC", "C"), ("The pattern grows. </think> The answer is C.", "C"), ("<thinking>It might be A.</thinking>\nThe answer is C.", "C"), ("<think>The answer is A.</think>\n\n**Final Answer**\n\\boxed{C}", "C"),
        ("<think>The answer is A.", None), ("<think>So it's \\boxed{C}.</think>", "C"), ("<|begin_of_thought|>maybe A<|end_of_thought|>\nC", "C"), ("◁think▷perhaps D◁/think▷C", "C"), ("<reasoning>A looks wrong.</reasoning><answer>C</answer>", "C"), ("<think>A or C</think><answer>\nC\n</answer>", "C"), ("<SUMMARY>corners grow</SUMMARY><CONCLUSION>C</CONCLUSION>", "C"),
        ("<|begin_of_box|>C<|end_of_box|>", "C"), ("Thought: It might be A.\nFinal Answer: C", "C"),
    )),
    ("a letter that is no option", "Which team won the game?", _options("Team A", "Team B", "It was a draw", "The game was not finished"), (
        ("Team A", "A"), ("Team B won.", "B"), ("Team B won the game.", "B"), ("Team A won by 3 points against Team B.", "A"), ("It was a draw between Team A and Team B.", "C"), ("The answer is Team B.", "B"), ("C. It was a draw", "C"), ("Vitamin A helps.", None), ("Group A lost.", None), ("Plan A", None), ("D", "D"), ("The game was not finished.", "D"),
    )),
    ("names with letters", "Which angle is the largest?", _options("∠A", "∠B", "∠C", "They are equal"), (
        ("∠B", "B"), ("$\\angle B$", "B"), ("\\boxed{\\angle C}", "C"), ("Angle C is the largest.", "C"), ("They are equal.", "D"), ("The largest angle is ∠A.", "A"), ("∠A = 40°, ∠B = 60°, ∠C = 80°, so the largest is ∠C.", "C"), ("D", "D"), ("All angles are equal.", "D"), ("(B) ∠B", "B"),
    )),
    ("restated in a sentence", "Is the population of foxes likely to increase?", _options("Yes", "No"), (
        ("Yes, the population is likely to increase.", "A"), ("The population of foxes is likely to increase.", "A"), ("The population of foxes is not likely to increase.", "B"), ("It is unlikely that the population of foxes increases.", "B"), ("The population of foxes will not increase.", "B"), ("Since there are more rabbits, the fox population is likely to increase.", "A"),
        ("No. Fewer rabbits mean fewer foxes.", "B"), ("(A)", "A"), ("I am not certain.", None), ("The statement holds: yes.", "A"), ("No, the population of foxes is likely to decrease.", "B"), ("Definitely not.", "B"), ("That is correct, so yes.", "A"),
    )),
    ("conclusion after a premise", "If all mice died, what would happen to the snakes?", _options("They would increase", "They would decrease", "They would stay the same"), (
        ("If all mice died, the snakes would decrease.", "B"), ("If all mice died, then the correct answer is (B).", "B"), ("If the mice died, snakes would lose their food, so they would decrease.", "B"), ("Without mice, the number of snakes would decrease.", "B"), ("They would decrease.", "B"), ("Snakes eat mice. If all mice died, the snake population would likely decrease.", "B"), ("The snakes would stay the same.", "C"), ("If mice died they might increase or decrease.", None), ("They would increase, since there would be less competition.", "A"),
        ("If all mice died, then the snakes would decrease is (B) B.", "B"),
    )),
    ("rows and labels", "Which figure completes the matrix?", _options("", "", "", "", "", ""), (
        ("Figure 3 shows a circle. The missing figure is F.", "F"), ("Row 1 goes up, row 2 goes down. F", "F"), ("In panel A the dot is left, in panel B it is right, so panel D completes it.", "D"), ("The missing piece is (F).", "F"), ("The figure that completes the matrix is option F", "F"), ("Pattern: A B ? D. Answer: F", "F"), ("The missing one should be E.", "E"), ("The sequence is A-B-C-A-B-?", None), ("f", "F"), ("Option F completes the matrix.", "F"), ("F completes the matrix.", "F"), ("Image F", "F"), ("Pick F!", "F"), ("I'd say F", "F"), ("Must be F", "F"), ("Gotta be (F)", "F"), ("F, I think.", "F"), ("F (I am 90% sure)", "F"), ("Probably F.", "F"), ("Most likely F.", "F"),
    )),
)  # fmt: skip

YES_NO_ROWS: tuple[tuple[str, str, tuple[Row, ...]], ...] = (
    ("yes or no in a sentence", "Is there a bench in the image?", (
        ("Yes - a wooden bench stands under the tree.", "yes"), ("Yes: two benches.", "yes"), ("yes, one bench", "yes"), ("There are two benches in the image.", "yes"), ("Two benches are visible.", "yes"), ("A wooden bench is located in the park.", "yes"), ("I can spot a bench near the tree.", "yes"), ("The picture features a bench.", "yes"), ("You can see a bench to the left.", "yes"),
        ("There is indeed a bench.", "yes"), ("A man is sitting on a bench.", "yes"), ("The photo depicts a bench beside a river.", "yes"), ("Yup", "yes"), ("Sure, there is a bench.", "yes"), ("Of course there is a bench.", "yes"), ("True.", "yes"), ("\\boxed{\\text{yes}}", "yes"), ("The answer is \"yes\".", "yes"), ("**Yes**, there is a bench.", "yes"), ("有，图中有一张长椅。", "yes"), ("是的，有。", "yes"), ("Answer: Yes, there is.", "yes"),
        ("I do see a bench.", "yes"), ("There does appear to be a bench.", "yes"), ("It is not the case that there is no bench.", "yes"), ("No chair is visible, but a bench is.", "yes"), ("No people are sitting on the bench.", "yes"), ("Yes, and no one sits on it.", "yes"),
    )),
    ("no in a sentence", "Is there a bench in the image?", (
        ("No - only a chair.", "no"), ("no, just chairs", "no"), ("There are no benches in the image.", "no"), ("There aren't any benches.", "no"), ("I can't spot a bench.", "no"), ("I couldn't find any bench.", "no"), ("No bench here.", "no"), ("No benches.", "no"), ("Not that I can see.", "no"), ("The image has no bench.", "no"), ("The image lacks a bench.", "no"), ("A bench is nowhere to be seen.", "no"), ("A bench is absent from the image.", "no"),
        ("There is not any bench.", "no"), ("None of the objects is a bench.", "no"), ("Nah", "no"), ("False.", "no"), ("\\boxed{\\text{no}}", "no"), ("The answer is \"no\".", "no"), ("**No**, there is no bench.", "no"), ("没有，图中没有长椅。", "no"), ("不，没有。", "no"), ("图中没有长椅。", "no"), ("Answer: No, there isn't.", "no"), ("Without any bench in sight, the answer is no.", "no"), ("It isn't true that there is a bench.", "no"), ("I see chairs and tables, but not a bench.", "no"), ("There is a chair instead of a bench.", "no"), ("The image doesn't have a bench in it.", "no"),
        ("There doesn't appear to be a bench.", "no"), ("The object in the image is not a bench.", "no"), ("There is neither a bench nor a chair.", "no"),
    )),
    ("neither", "Is there a bench in the image?", (
        ("The image is too dark to tell if there is a bench.", None), ("Hard to say.", None), ("I'm not able to view the image.", None), ("Could you provide the image?", None), ("There may or may not be a bench.", None), ("It could be a bench or a chair.", None), ("The question asks whether there is a bench.", None), ("I need to check whether there is a bench.", None), ("yes/no", None), ("Please answer yes or no.", None), ("不确定", None), ("I'm not sure if there is a bench.", None), ("The weather is nice.", None), ("unknown", None),
    )),
)  # fmt: skip

NUMBER_ROWS: tuple[tuple[str, str, tuple[Row, ...]], ...] = (
    ("counts", "How many red cubes are there?", (
        ("There are 4 red cubes and 7 blue cubes.", "4"), ("7 blue cubes, 4 red cubes.", "4"), ("4 red cubes", "4"), ("I count four red cubes.", "4"), ("Counting the red cubes: 1, 2, 3, 4. So there are 4.", "4"), ("Red cubes: 4\nBlue cubes: 7", "4"), ("We have 11 cubes, 7 of them are blue. 11 - 7 = 4.", "4"), ("11 - 7 = 4 red cubes", "4"), ("The total number of red cubes is four.", "4"), ("There are no red cubes.", "0"), ("None.", "0"), ("zero", "0"),
        ("There's only a single red cube.", "1"), ("A total of 4.", "4"), ("Four (4)", "4"), ("4 (four)", "4"), ("4, since there are 2 in each row and 2 rows.", "4"), ("4\n\nThere are 2 rows with 2 red cubes each.", "4"), ("**4** red cubes are visible; 7 cubes are blue.", "4"), ("The scene has twelve red cubes.", "12"), ("twenty-one", "21"), ("图中有4个红色方块。", "4"), ("４", "4"), ("共有4个。", "4"), ("四个", "4"), ("The answer is 4 cubes.", "4"),
        ("I see 3 red cubes. Wait, there is another one behind. So 4.", "4"), ("3, no wait, 4.", "4"), ("3 or 4", None), ("several", None), ("I can't count them.", None), ("There are some red cubes.", None), ("More than 3.", None), ("At least 4.", None),
    )),
    ("worked out", "What is the area of the triangle in square meters?", (
        ("A = 1/2 * 6 * 4 = 12", "12"), ("A = ½ · 6 · 4 = 12 m²", "12"), ("The area is 12 m^2.", "12"), ("The area is 12 square meters.", "12"), ("Area = (6 × 4) / 2 = 12 square meters.", "12"), ("$A = \\frac{1}{2} \\cdot 6 \\cdot 4 = 12\\ \\text{m}^2$", "12"), ("Base 6, height 4, hence area 12.", "12"), ("\\[ A = \\frac{6 \\cdot 4}{2} = \\boxed{12} \\]", "12"), ("With a base of 6 m and a height of 4 m the area is 12 m2.", "12"), ("The base is 6 m and the height is 4 m.\n\nSo the area of the triangle is **12 square meters**.", "12"), ("Answer: 12 sq m", "12"),
        ("12\n\nExplanation: the base is 6 and the height is 4.", "12"), ("The answer is 12. (Half of 6 times 4.)", "12"), ("Step 1: base = 6\nStep 2: height = 4\nStep 3: area = 12", "12"), ("| base | height | area |\n| 6 | 4 | 12 |\n\nThe area is 12.", "12"), ("面积是12平方米。", "12"), ("1,200 square meters", "1200"), ("1 200", "1200"), ("1.2e3", "1200"), ("1.2 × 10^3", "1200"), ("12.0", "12"), ("The area is approximately 12.5 square meters.", "12.5"), ("≈ 12.5", "12.5"), ("12 1/2", "12.5"), ("\\frac{25}{2}", "12.5"), ("The area cannot be found.", None),
    )),
    ("money and years", "How much does the jacket cost?", (
        ("$45", "45"), ("The jacket costs $45.", "45"), ("45 dollars", "45"), ("$45.00", "45"), ("It costs $45, down from $60.", "45"), ("The price was $60 and there is 25% off, so the jacket costs $45.", "45"), ("60 - 15 = $45", "45"), ("USD 45", "45"), ("The shirt costs $20 and the jacket costs $45.", "45"), ("\\$45", "45"), ("\\boxed{\\$45}", "45"), ("forty-five dollars", "45"), ("$1,250.50", "1250.5"), ("The price is not shown.", None), ("The jacket costs forty five dollars in total.", "45"),
    )),
    ("differences of ages and years", "What is the age gap between these two people in image?", (
        ("The age gap is 8 years.", "8"), ("8 years", "8"), ("One was born in 1943 and the other in 1951, so the gap is 8 years.", "8"), ("1951 - 1943 = 8", "8"), ("They are 8 years apart.", "8"), ("The age difference between them is eight years.", "8"), ("Person A was 30, person B was 38. The gap: 8.", "8"), ("The first was born on June 3, 1943. The second was born on July 9, 1951.\nTherefore, the age gap is 8 years.", "8"), ("I can't identify people in images.", None), ("About 8", "8"), ("0", "0"),
    )),
    ("signed and decimal", "What is the lowest temperature in °C?", (
        ("-5", "-5"), ("\u22125", "-5"), ("-5 °C", "-5"), ("-5°C", "-5"), ("The lowest temperature is -5 degrees Celsius.", "-5"), ("minus 5", "-5"), ("negative five degrees", "-5"), ("It ranges from 10 °C down to -5 °C, so the lowest is -5 °C.", "-5"), ("-5.5", "-5.5"), ("$-5$", "-5"), ("The lowest temperature is 5 degrees below zero.", "-5"), ("\\boxed{-5^\\circ \\text{C}}", "-5"), ("0.75", "0.75"), (".75", "0.75"), ("3/4", "0.75"), ("$\\frac{3}{4}$", "0.75"),
    )),
)  # fmt: skip


def rows() -> Iterator[tuple[str, str, str, str | None, str, Mapping[str, str]]]:
    """(kind, group, response, expected, question, options) of every row."""
    for group, question, options, answers in OPTION_ROWS:
        for response, expected in answers:
            yield "option", group, response, expected, question, options
    for group, question, answers in YES_NO_ROWS:
        for response, expected in answers:
            yield "yes_no", group, response, expected, question, {}
    for group, question, answers in NUMBER_ROWS:
        for response, expected in answers:
            yield "number", group, response, expected, question, {}
