"""Wordings by class, each written for itself as a model would say it, without templates and before the rules read it.

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
    ("an answer and its reasons", "What is the capital shown on the map?", _options("Paris", "Rome", "Madrid", "Berlin"), (
        ("The map shows Italy, whose capital is Rome.", "B"), ("Rome, as marked by the star.", "B"), ("I can see Italy on the map, so it's Rome (B).", "B"),
        ("Berlin is in Germany, Paris in France, Madrid in Spain. The map shows Italy, so Rome.", "B"), ("B - Rome. Paris (A) is the capital of France.", "B"),
        ("This is Italy. Answer = B", "B"), ("The answer is definitely B.", "B"), ("Hence the required option is B.", "B"), ("Option 'B' is right.", "B"), ("“B”", "B"), ("Ans. (B)", "B"),
        ("ANSWER IS B", "B"), ("the answer is b", "B"), ("So the correct choice would be B", "B"), ("My pick: B.", "B"), ("I'm going with B.", "B"), ("Going with (B)!", "B"),
        ("That would be B.", "B"), ("That's B.", "B"), ("B it is.", "B"), ("It's option B", "B"), ("The one I'd choose is B.", "B"), ("You should choose B.", "B"), ("Correct one: B", "B"),
        ("The right option here is B.", "B"), ("A is Paris, B is Rome, C is Madrid, D is Berlin. The map shows Italy. So B.", "B"),
        ("Since Rome is the capital of Italy, B is right and A, C, D are not.", "B"), ("C and D are wrong. A is wrong, too.", "B"), ("I would eliminate A, C and D, leaving B.", "B"),
        ("A? No. C? No. D? No. B? Yes.", "B"), ("Paris is not right. Madrid is not right. Berlin is not right.", "B"), ("Paris", "A"), ("not Paris", None),
        ("The capital isn't Rome.", None), ("Rome or Madrid", None), ("Either Rome or Madrid could be right.", None), ("I believe it's either B or C, but I'm leaning towards B.", "B"),
        ("If I had to guess, I'd say B.", "B"), ("Possibly B", None), ("\\boxed{B}\n\nBut A is also a nice city.", "B"), ("$$\\boxed{B}$$ is the final answer.", "B"),
        ("Therefore $\\boxed{\\text{Rome}}$.", "B"), ("The final answer is $\\boxed{B}$", "B"), ("**Answer**: **B**\n\n**Why**: Rome is the capital.", "B"), ("***Answer: B***", "B"),
        ("### B", "B"), ("1. B", "B"), ("(B).\n\nExplanation: (A) is in France; (C) is in Spain; (D) is in Germany.", "B"), ("Answer：B", "B"), ("答案：B。罗马是意大利的首都。", "B"), ("选择 B 选项", "B"),
        ("所以正确答案是 B. Rome", "B"), ("应为B项。", "B"), ("B项正确", "B"), ("选（B）", "B"), ("我认为是B", "B"), ("A、C、D都错误,所以选B", "B"), ("ＡＮＳＷＥＲ：Ｂ", "B"), ("<answer>Rome</answer>", "B"),
        ("<answer>The answer is B</answer>", "B"), ("<answer>B. Rome</answer>\n<confidence>0.9</confidence>", "B"), ("<think>x</think>\n\nRome", "B"), ("Final Answer: B. Rome.", "B"),
        ("Final Answer\nB", "B"), ("Final choice → (B)", "B"), ("The final answer: Rome", "B"),
        ("To find the capital we look for the star.\nThe star is at Rome.\nTherefore, option B is the answer.\nNote: A would be the answer for France.", "B"),
        ("Let me verify: A (Paris) is in France. So B is the answer.", "B"), ("The star marks Rome; consequently the answer is (B).", "B"), ("Rome is the capital of Italy.", "B"),
        ("It's not B.", None), ("A city", None), ("A map of Italy.", None), ("I can't see any map.", None), ("The map is not visible, so I cannot say.", None), ("Insufficient data", None),
        ("E", None), ("Vienna", None), ("The answer is Vienna.", None), ("Z", None), ("The answer is (E).", None),
    )),
    ("the variable asked for", "If x + 3 = 8 and y = 2x, what is y?", _options("5", "8", "10", "13"), (
        ("x = 8 - 3 = 5, so y = 2 * 5 = 10.", "C"), ("y = 10", "C"), ("x = 5\ny = 10", "C"), ("We get x=5 and hence y=10.", "C"), ("First x = 5. Then y = 2(5) = 10.", "C"), ("10", "C"),
        ("\\(y = 10\\)", "C"), ("y is equal to ten.", "C"), ("The value of y is 10, because x is 5.", "C"), ("y=10.0", "C"), ("x + 3 = 8 → x = 5 → y = 10", "C"),
        ("y = 2x = 2(5) = \\boxed{10}", "C"), ("y = 12", None), ("Subtract 3 from both sides: x = 5. Doubling gives 10.", "C"), ("C) 10", "C"), ("So y equals 10 (option C).", "C"),
        ("The answer is 10.", "C"), ("The answer is 5? No, that's x. y is 10.", "C"),
    )),
    ("units in options", "What is the speed of the car?", _options("60 km/h", "80 km/h", "100 km/h", "120 km/h"), (
        ("80 km/h", "B"), ("80 kilometers per hour", "B"), ("The car drives at 80 km/h.", "B"), ("80", "B"), ("The speed is $80\\ \\text{km/h}$.", "B"), ("v = 240 km / 3 h = 80 km/h", "B"),
        ("240/3 = 80", "B"), ("The speed limit is 100 km/h, but the car drives at 80 km/h.", "B"), ("80 mph", None), ("90 km/h", None),
    )),
    ("restated in a sentence", "Is the function even?", _options("Yes", "No"), (
        ("The function is even.", "A"), ("The function is not even.", "B"), ("f(-x) = f(x), so yes.", "A"), ("No, f(-x) ≠ f(x).", "B"), ("Yes. f(-x) = f(x).", "A"), ("It is even.", "A"),
        ("It isn't even.", "B"), ("The answer is (B) No.", "B"), ("No\n\nThe graph is not symmetric.", "B"), ("Since the graph is symmetric about the y-axis, the function is even.", "A"),
        ("It is odd, not even.", "B"),
    )),
    ("none of the above", "Which statement is correct?", _options("x > 0", "x < 0", "x = 0", "None of the above"), (
        ("None of the above", "D"), ("D", "D"), ("None of the above is not right; x > 0.", "A"), ("x > 0", "A"), ("$x<0$", "B"), ("x must be positive, i.e. x > 0.", "A"),
        ("The correct statement is x = 0.", "C"), ("None of these statements is correct.", "D"),
    )),
    ("cannot be told", "Which city is larger?", _options("Rome", "Paris", "Cannot be determined"), (
        ("It cannot be determined.", "C"), ("There's not enough information to say.", "C"), ("We can't tell from the data.", "C"), ("Paris is larger.", "B"),
        ("Paris is larger than Rome.", "B"), ("Cannot be determined", "C"), ("I can't see the image.", None),
    )),
    ("an answer and its reasons", "Which material is the best conductor?", _options("wood", "glass", "copper", "rubber"), (
        ("Copper is the best conductor among the options.", "C"), ("Copper conducts electricity best.", "C"),
        ("Wood, glass and rubber are insulators, so copper is the best conductor.", "C"), ("The best conductor is copper, option C.", "C"), ("C\nCopper", "C"),
        ("C - copper, obviously", "C"), ("The answer can be determined as follows: metals conduct well, so C.", "C"), ("Metals conduct. C is a metal. Answer: C", "C"), ("Answer (C)", "C"),
        ("Answer C", "C"), ("Answer C.", "C"), ("The answer letter is C.", "C"), ("It has to be copper.", "C"), ("I think it is copper because it is a metal, unlike wood or glass.", "C"),
        ("Unlike wood, glass or rubber, copper is a metal.", "C"), ("Copper! Definitely not rubber.", "C"),
        ("Rubber is an insulator. Glass is an insulator. Wood is an insulator. Copper is a conductor.", "C"), ("The conductors among these: copper.", "C"),
        ("- wood: no\n- glass: no\n- copper: yes\n- rubber: no", "C"), ("wood ✗, glass ✗, copper ✓, rubber ✗", "C"),
        ("Well, it's either glass or copper. Glass is an insulator, so it must be copper.", "C"),
        ("Let's see. A) wood - insulator. B) glass - insulator. C) copper - conductor. D) rubber - insulator. Hence C.", "C"), ("Sure thing! C.", "C"),
        ("Good question. The answer is (C) copper. Do you want to know why?", "C"), ("My reasoning: metals conduct.\n\nFinal answer - C", "C"), ("Final: C", "C"), ("Therefore → C", "C"),
        ("⇒ C", "C"), ("∴ C", "C"), ("Result: C", "C"), ("Verdict: C", "C"), ("Selected answer: C", "C"), ("Chosen option: C.", "C"), ("The option I choose is C.", "C"), ("Option: C", "C"),
        ("choice: c", "C"), ("{C}", "C"), ("<C>", "C"), ("/C/", None), ("The material is silver.", None), ("Gold", None), ("Both copper and rubber conduct.", None),
        ("All of them conduct.", None), ("Copper or glass?", None), ("I do not know which material conducts best.", None), ("Conductivity depends on temperature.", None),
        ("Not copper", None), ("The answer isn't C.", None), ("wood, glass, copper, rubber", None), ("(A) wood\n(B) glass\n(C) copper\n(D) rubber\n\nPlease choose one.", None),
        ("C or D, I am not sure.", None),
        ("The question is about conductors. The options are wood, glass, copper, and rubber. Copper is a metal and the best conductor. The answer is copper.", "C"),
        ("After considering all options, I conclude that C is the best answer.", "C"), ("Having ruled out A, B and D, C remains.", "C"), ("C is the only conductor.", "C"),
        ("C is the metal here.", "C"), ("C: It's a metal.", "C"), ("C; metal.", "C"), ("C?", None), ("**C**: copper conducts; **A**, **B** and **D** do not.", "C"),
        ("Correct: C. Incorrect: A, B, D.", "C"),
        ("Option A: wood is an insulator.\nOption B: glass is an insulator.\nOption C: copper is a conductor.\nOption D: rubber is an insulator.\n\nThus option C.", "C"),
        ("The answer is C) copper, because A) wood, B) glass and D) rubber are insulators.", "C"),
    )),
    ("an angle", "What is the measure of ∠ABC?", _options("30°", "45°", "60°", "90°"), (
        ("60°", "C"), ("60 degrees", "C"), ("∠ABC = 60°", "C"), ("$\\angle ABC = 60^\\circ$", "C"), ("\\boxed{60^\\circ}", "C"), ("m∠ABC = 60", "C"),
        ("The triangle is equilateral, so each angle is 60°.", "C"), ("180° - 90° - 30° = 60°", "C"), ("Since ∠A = 90° and ∠C = 30°, ∠ABC = 60°.", "C"),
        ("∠ABC is 180° - 120° = 60°, which is option C.", "C"), ("It is a right angle.", None), ("The measure is 75°.", None), ("sixty degrees", "C"), ("60度", "C"), ("∠ABC=60°，故选C", "C"),
        ("The angle measures 60°, not 30°.", "C"), ("60° (since 180° - 90° - 30° = 60°)", "C"), ("Angle ABC equals 60°.", "C"), ("The answer is 60.", "C"), ("π/3", None),
    )),
    ("formulas as options", "What is the area of the shaded region?", _options("4π - 8", "8 - 2π", "16 - 4π", "4π"), (
        ("16 - 4π", "C"), ("$16-4\\pi$", "C"), ("The area is 16 - 4\\pi.", "C"), ("Square: 16. Circle: 4π. Shaded: 16 - 4π.", "C"), ("\\boxed{16 - 4\\pi}", "C"),
        ("The circle has area 4π and the square 16, so the shaded region has area 16 − 4π.", "C"), ("4π", "D"), ("A = 8 - 2π", "B"), ("The area is $4\\pi - 8$ square units.", "A"),
        ("16 + 4π", None), ("(C) 16 - 4π", "C"), ("The shaded area equals 16 - 4π (option C).", "C"),
    )),
    ("years", "In which year was the peak?", _options("2010", "2012", "2014", "2016"), (
        ("2014", "C"), ("The peak was in 2014.", "C"), ("In 2014.", "C"), ("It rose from 2010 to 2014 and fell after that, so the peak was in 2014.", "C"),
        ("The peak occurred in 2014, with 45 units.", "C"), ("Between 2010 and 2016 the peak was 2014.", "C"), ("2014 was the peak year.", "C"),
        ("The values are 10 (2010), 20 (2012), 45 (2014) and 30 (2016). The peak is in 2014.", "C"), ("2015", None), ("either 2012 or 2014", None),
    )),
    ("names", "Who is taller?", _options("Tom", "Ann", "They are the same height"), (
        ("Tom is taller.", "A"), ("Tom", "A"), ("Ann is shorter than Tom.", "A"), ("Tom is taller than Ann.", "A"), ("Tom is 180 cm and Ann is 170 cm, so Tom is taller.", "A"),
        ("They have the same height.", "C"), ("They are equally tall.", "C"), ("Ann is the taller one.", "B"), ("Ann", "B"), ("Tom is not taller than Ann.", None),
        ("Tom and Ann are the same height.", "C"),
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
    ("restated in a sentence", "Is the man wearing a hat?", (
        ("Yes, he is.", "yes"), ("He is wearing a hat.", "yes"), ("He isn't wearing a hat.", "no"), ("The man is wearing a red hat.", "yes"), ("The man is not wearing a hat.", "no"),
        ("The man wears no hat.", "no"), ("No, he is bareheaded.", "no"), ("Yes, a blue one.", "yes"), ("The man is bald.", None), ("He appears to be wearing a hat.", "yes"),
        ("The man does not wear a hat.", "no"), ("There is a man, and he is wearing a hat.", "yes"), ("There is a man with a hat.", "yes"), ("Not wearing a hat", "no"), ("correct", "yes"),
        ("Incorrect.", "no"),
    )),
    ("restated in a sentence", "Are there more cats than dogs?", (
        ("There are more cats than dogs.", "yes"), ("There are more dogs than cats.", "no"), ("There are fewer cats than dogs.", "no"), ("There are fewer dogs than cats.", "yes"),
        ("No, there are 2 cats and 3 dogs.", "no"), ("Yes, there are 3 cats and 2 dogs.", "yes"), ("There are not more cats than dogs.", "no"),
        ("The number of cats is greater than the number of dogs.", "yes"), ("The cats outnumber the dogs. Yes.", "yes"), ("Dogs are more numerous than cats. So no.", "no"),
        ("3 cats > 2 dogs, so yes", "yes"),
    )),
    ("restated in a sentence", "Does the chart contain a legend?", (
        ("The chart contains a legend.", "yes"), ("The chart does not contain a legend.", "no"), ("It does.", "yes"), ("It does not.", "no"), ("It doesn't.", "no"),
        ("There is a legend in the top right corner.", "yes"), ("No legend is shown.", "no"), ("The chart has no legend.", "no"), ("A legend is provided.", "yes"),
        ("There isn't one.", "no"), ("I can see a legend at the bottom.", "yes"),
    )),
    ("restated in a sentence", "Is there a car in the picture?", (
        ("I can see a red car parked on the street.", "yes"), ("A red car is parked on the street.", "yes"), ("There's no car, only a bus.", "no"),
        ("Only a bus is visible, there is no car.", "no"), ("There is only a bus.", None), ("Cars are parked along the street.", "yes"), ("Several cars are parked there.", "yes"),
        ("It seems there is no car.", "no"), ("It seems there is a car.", "yes"), ("I believe there is a car.", "yes"), ("I don't think there is a car.", "no"),
        ("I do not believe there is a car in the picture.", "no"), ("The car is red.", "yes"), ("The street is empty.", None), ("Yes there is", "yes"), ("no there is not", "no"),
        ("No cars", "no"), ("zero cars", "no"), ("One car.", "yes"), ("A car!", "yes"), ("Y", "yes"), ("N", "no"), ("Unfortunately, no.", "no"), ("Surely.", "yes"),
        ("There is a car-free street.", None), ("The picture doesn't seem to show a car.", "no"), ("We see no car here.", "no"), ("It's a bus, not a car.", "no"),
        ("This is a picture of a car.", "yes"), ("This is not a picture of a car.", "no"),
    )),
    ("restated in a sentence", "Is the sky cloudy?", (
        ("The sky is cloudy.", "yes"), ("The sky is clear.", None), ("The sky is not cloudy.", "no"), ("Yes, it's overcast.", "yes"), ("It's cloudy.", "yes"), ("It is not.", "no"),
        ("It is very cloudy.", "yes"), ("The sky looks cloudy.", "yes"), ("No, it is sunny.", "no"), ("The sky isn't cloudy; it is blue.", "no"),
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
    ("among other numbers", "How many people are in the image?", (
        ("There are 5 people in the image.", "5"), ("Five people.", "5"), ("I see five people: three men and two women.", "5"),
        ("There are three men and two women, so five people in total.", "5"), ("3 men + 2 women = 5 people", "5"), ("5 people (3 men, 2 women)", "5"),
        ("In the image, there are 5 people, 2 of whom are sitting.", "5"), ("Two people are sitting and three are standing, making a total of five.", "5"),
        ("A total of five people can be seen.", "5"), ("There is nobody.", "0"), ("No one.", "0"), ("Just one person.", "1"), ("One.", "1"), ("a single person", "1"), ("a dozen", "12"),
        ("There are a dozen people.", "12"), ("5+", None), ("around 20 people", "20"), ("between 5 and 7", None), ("5-7", None), ("I think 5.", "5"), ("Answer: five", "5"),
        ("There're 5.", "5"), ("The number is 5.", "5"), ("A family of 5.", "5"), ("图中有五个人。", "5"), ("5人", "5"), ("一共5个人", "5"), ("有３个人", "3"),
    )),
    ("among other numbers", "What is the value of the largest bar in the chart?", (
        ("80", "80"), ("The largest bar has a value of 80.", "80"), ("The largest bar is 80, and the smallest bar is 20.", "80"), ("The bars are 20, 50 and 80. The largest is 80.", "80"),
        ("Looking at the chart, the largest bar reaches 80.", "80"), ("It is approximately 80.", "80"), ("80 units", "80"), ("The tallest bar: 80", "80"), ("20, 50, 80", None),
        ("The value is 80%.", "80"), ("The largest bar (C) has a value of 80.", "80"), ("Bar C with 80.", "80"), ("80.", "80"), ("\\boxed{80}", "80"),
        ("The largest value is eighty.", "80"),
    )),
    ("among other numbers", "What is the perimeter of the square with side 4?", (
        ("4 * 4 = 16", "16"), ("P = 4s = 4(4) = 16", "16"), ("The perimeter is 4 × 4 = 16 units.", "16"), ("16 units, since each of the 4 sides has length 4.", "16"),
        ("Each side is 4, so the perimeter is 16.", "16"), ("4 + 4 + 4 + 4 = 16", "16"), ("The perimeter of a square is 4 times its side.\nSide = 4\nPerimeter = 16", "16"),
        ("Sixteen.", "16"), ("Perimeter: \\(16\\)", "16"), ("$P=16$", "16"), ("So, 16.", "16"), ("The perimeter equals 16 cm.", "16"), ("16cm", "16"), ("The answer is 16, not 4.", "16"),
        ("It's not 4, it's 16.", "16"), ("16 (sixteen)", "16"),
    )),
    ("among other numbers", "What is the discount in percent?", (
        ("25%", "25"), ("The discount is 25 percent.", "25"), ("From $80 to $60 is a discount of $20, which is 25%.", "25"), ("20/80 = 0.25 = 25%", "25"), ("25", "25"),
        ("(80 - 60) / 80 = 25%", "25"), ("The price dropped from $80 to $60, i.e. by 25%.", "25"), ("A 25% discount.", "25"), ("25% off", "25"),
    )),
    ("among other numbers", "How many apples are left?", (
        ("7 apples are left.", "7"), ("There were 10 apples and 3 were eaten, so 7 are left.", "7"), ("10 - 3 = 7 apples", "7"), ("10 minus 3 equals 7.", "7"),
        ("Seven apples remain.", "7"), ("After eating 3, 7 apples remain.", "7"), ("3 of the 10 apples were eaten. That leaves 7.", "7"), ("That leaves 7 apples.", "7"), ("7 left", "7"),
        ("7 are left", "7"), ("Apples left: 7", "7"), ("There are 7 apples left out of 10.", "7"), ("None are left.", "0"), ("No apples are left.", "0"), ("He has 7.", "7"),
        ("10 apples − 3 apples = 7 apples", "7"), ("Initially 10, then 3 eaten. Answer: 7", "7"), ("So, there are seven (7) apples left.", "7"), ("It's seven.", "7"), ("many", None),
        ("less than 10", None), ("剩下7个苹果。", "7"), ("还剩7个", "7"),
    )),
    ("among other numbers", "What fraction of the shape is shaded? Give a decimal.", (
        ("0.25", "0.25"), ("1/4", "0.25"), ("1/4 = 0.25", "0.25"), ("One of four parts is shaded, so 1/4 = 0.25.", "0.25"), ("0.25 of the shape is shaded.", "0.25"),
        ("The shaded fraction is 0.25.", "0.25"), ("a quarter", "0.25"), ("one quarter", "0.25"), ("\\frac{1}{4}", "0.25"), ("1 ÷ 4 = 0.25", "0.25"), ("It is 1/4, or 0.25.", "0.25"),
        ("\\boxed{0.25}", "0.25"),
    )),
    ("among other numbers", "What is the population of the town in 2015?", (
        ("12,500", "12500"), ("The population in 2015 was 12,500.", "12500"), ("12.5 thousand", "12500"), ("In 2015 the town had 12,500 people.", "12500"), ("12500 people", "12500"),
        ("The population was 12,500 in 2015 and 13,000 in 2016.", "12500"), ("It grew from 12,000 in 2014 to 12,500 in 2015.", "12500"), ("About 12,500.", "12500"), ("12 500", "12500"),
        ("1.25 × 10^4", "12500"), ("The chart shows 12,500 for 2015.", "12500"), ("2015", "2015"), ("2015: 12,500", "12500"),
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
