//! Expressions: `"{TAG} - 0.2"` to a tree, and the tree to a program of the cycle.
//!
//! In order of binding, loosest first: `or`, `and`, `not`, comparisons (`<  <=  >  >=  ==  !=`, not chained),
//! `+ -`, `* /`, the sign, then numbers, `{TAG}`, parentheses and the functions `min`, `max` (two or more), `clamp(x, lo, hi)`,
//! `abs`, `sqrt`, `exp`, `ln`. Truth is 1 and 0.

use rt_core::expression::{OPS_MAX, Op, Program, ProgramError};
use rt_core::tag::TagId;

use crate::spelling::nearest;

/// The deepest nesting of parentheses, functions and signs.
const NESTING_MAX: usize = 32;
/// Functions of one number and of two or more.
const FUNCTIONS: [&str; 7] = ["min", "max", "clamp", "abs", "sqrt", "exp", "ln"];

/// An expression as a tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Number(f64),
    Tag(TagId),
    Unary(Op, Box<Self>),
    Binary(Op, Box<Self>, Box<Self>),
}

/// What is wrong with an expression, and at which byte of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpressionError {
    pub(crate) offset: usize,
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Reads an expression over the tags called `names`, whose index is their [`TagId`].
pub(crate) fn parse(text: &str, names: &[String]) -> Result<Tree, ExpressionError> {
    let mut parser = Parser { text, at: 0, names, nesting: 0, nodes: 0 };
    let tree = parser.or()?;
    parser.skip_space();
    if parser.at < text.len() {
        let rest: String = parser.rest().chars().take(12).collect();
        return Err(parser.error(format!("`{rest}` is not expected here"), operator_help(&rest)));
    }
    Ok(tree)
}

fn operator_help(rest: &str) -> &'static str {
    match rest.as_bytes() {
        [b'^', ..] | [b'*', b'*', ..] => "there is no power; write {X} * {X}",
        [b'&', ..] => "write `and`",
        [b'|', ..] => "write `or`",
        [b'=', rest @ ..] if !rest.starts_with(b"=") => "compare with `==`",
        [b'%', ..] => "there is no remainder",
        [b'<' | b'>' | b'=' | b'!', ..] => "join two comparisons with `and`",
        _ => "join the parts with an operator such as + - * / < and or",
    }
}

/// The program of a tree. Tags for which `inline` has a tree are replaced by it: so a condition that the envelope
/// evaluates on the image rests on measured tags alone.
pub(crate) fn compile<'t>(tree: &'t Tree, inline: &dyn Fn(TagId) -> Option<&'t Tree>) -> Result<Program, String> {
    let mut ops = Vec::new();
    emit(tree, inline, &mut ops).map_err(|TooLong| {
        format!("the expression needs more than {OPS_MAX} operations, with the computed tags in it written out")
    })?;
    Program::new(&ops).map_err(|error| match error {
        ProgramError::TooDeep { .. } => "the expression holds too many intermediate results at a time".to_owned(),
        other => other.to_string(),
    })
}

struct TooLong;

fn emit<'t>(tree: &'t Tree, inline: &dyn Fn(TagId) -> Option<&'t Tree>, ops: &mut Vec<Op>) -> Result<(), TooLong> {
    if ops.len() > OPS_MAX {
        return Err(TooLong);
    }
    match tree {
        Tree::Number(number) => ops.push(Op::Const(*number)),
        Tree::Tag(tag) => match inline(*tag) {
            Some(inner) => emit(inner, inline, ops)?,
            None => ops.push(Op::Tag(*tag)),
        },
        Tree::Unary(op, inner) => {
            emit(inner, inline, ops)?;
            ops.push(*op);
        }
        Tree::Binary(op, left, right) => {
            emit(left, inline, ops)?;
            emit(right, inline, ops)?;
            ops.push(*op);
        }
    }
    Ok(())
}

impl Tree {
    /// Calls `visit` for every tag in the tree.
    pub(crate) fn for_each_tag(&self, visit: &mut impl FnMut(TagId)) {
        match self {
            Self::Number(_) => {}
            Self::Tag(tag) => visit(*tag),
            Self::Unary(_, inner) => inner.for_each_tag(visit),
            Self::Binary(_, left, right) => {
                left.for_each_tag(visit);
                right.for_each_tag(visit);
            }
        }
    }

    /// The expression's value when it reads no tag.
    pub(crate) fn constant(&self) -> Option<f64> {
        compile(self, &|_| None).ok()?.eval_with(|_| None)
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    names: &'a [String],
    nesting: usize,
    nodes: usize,
}

type Parsed = Result<Tree, ExpressionError>;

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn error(&self, message: impl Into<String>, help: impl Into<String>) -> ExpressionError {
        ExpressionError { offset: self.at, message: message.into(), help: help.into() }
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes `symbol` if it comes next.
    fn symbol(&mut self, symbol: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(symbol);
        self.at += if found { symbol.len() } else { 0 };
        found
    }

    /// Takes `word` if it comes next as a whole word.
    fn word(&mut self, word: &str) -> bool {
        self.skip_space();
        let found = self.peek_word() == word;
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn peek_word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest.get(..end).unwrap_or("")
    }

    /// Counts a node: the tree is bounded before it becomes a program.
    fn node(&mut self, tree: Tree) -> Parsed {
        self.nodes += 1;
        if self.nodes > 2 * OPS_MAX {
            return Err(self
                .error(format!("the expression is longer than {OPS_MAX} operations"), "split it into computed tags"));
        }
        Ok(tree)
    }

    fn unary(&mut self, op: Op, inner: Tree) -> Parsed {
        self.node(Tree::Unary(op, Box::new(inner)))
    }

    fn binary(&mut self, op: Op, left: Tree, right: Tree) -> Parsed {
        self.node(Tree::Binary(op, Box::new(left), Box::new(right)))
    }

    /// One level deeper.
    fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.error(
                format!("the expression nests deeper than {NESTING_MAX} levels"),
                "split it into computed tags",
            ));
        }
        let parsed = parse(self)?;
        self.nesting -= 1;
        Ok(parsed)
    }

    fn or(&mut self) -> Parsed {
        let mut left = self.and()?;
        while self.word("or") {
            let right = self.and()?;
            left = self.binary(Op::Or, left, right)?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed {
        let mut left = self.not()?;
        while self.word("and") {
            let right = self.not()?;
            left = self.binary(Op::And, left, right)?;
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed {
        if self.word("not") {
            let inner = self.nested(Self::not)?;
            return self.unary(Op::Not, inner);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed {
        const COMPARISONS: [(&str, Op); 6] =
            [("<=", Op::Le), (">=", Op::Ge), ("==", Op::Eq), ("!=", Op::Ne), ("<", Op::Lt), (">", Op::Gt)];
        let left = self.sum()?;
        match COMPARISONS.into_iter().find(|(symbol, _)| self.symbol(symbol)) {
            Some((_, op)) => {
                let right = self.sum()?;
                self.binary(op, left, right)
            }
            None => Ok(left),
        }
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        loop {
            let op = match (self.symbol("+"), self.symbol("-")) {
                (true, _) => Op::Add,
                (_, true) => Op::Sub,
                _ => return Ok(left),
            };
            let right = self.product()?;
            left = self.binary(op, left, right)?;
        }
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.sign()?;
        loop {
            self.skip_space();
            // `**` is another language's power: left for the complaint.
            let power = self.rest().starts_with("**");
            let op = if !power && self.symbol("*") {
                Op::Mul
            } else if self.symbol("/") {
                Op::Div
            } else {
                return Ok(left);
            };
            let right = self.sign()?;
            left = self.binary(op, left, right)?;
        }
    }

    fn sign(&mut self) -> Parsed {
        if self.symbol("-") {
            return match self.nested(Self::sign)? {
                Tree::Number(number) => Ok(Tree::Number(-number)),
                inner => self.unary(Op::Neg, inner),
            };
        }
        if self.symbol("+") {
            return self.nested(Self::sign);
        }
        self.primary()
    }

    fn primary(&mut self) -> Parsed {
        self.skip_space();
        match self.rest().chars().next() {
            None => Err(self.error("the expression ends too early", "a number, {TAG} or a parenthesis belongs here")),
            Some('{') => self.tag(),
            Some('(') => {
                self.at += 1;
                let inner = self.nested(Self::or)?;
                self.closing(")")?;
                Ok(inner)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => self.function(),
            Some(c) => {
                let shown = if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
                Err(self
                    .error(format!("`{shown}` is not expected here"), "a number, {TAG} or a parenthesis belongs here"))
            }
        }
    }

    fn closing(&mut self, symbol: &str) -> Result<(), ExpressionError> {
        if self.symbol(symbol) {
            return Ok(());
        }
        Err(self.error(format!("`{symbol}` is missing here"), "close the parenthesis"))
    }

    fn tag(&mut self) -> Parsed {
        let inside = self.rest().get(1..).unwrap_or("");
        let Some(end) = inside.find('}') else {
            return Err(self.error("this brace is not closed", "write {TAG}"));
        };
        let name = inside.get(..end).unwrap_or("").trim();
        let Some(index) = self.names.iter().position(|known| known == name) else {
            return Err(self.error(format!("there is no tag {}", crate::complaint::quoted(name)), self.tag_help(name)));
        };
        let tag = TagId::new(index).ok_or_else(|| self.error("too many tags", "remove some"))?;
        self.at += end + 2;
        self.node(Tree::Tag(tag))
    }

    fn tag_help(&self, name: &str) -> String {
        nearest(name, self.names.iter().map(String::as_str))
            .map_or_else(|| "declare it in `pipeline.tags`".to_owned(), |known| format!("did you mean {{{known}}}?"))
    }

    fn number(&mut self) -> Parsed {
        let rest = self.rest();
        let mut end = 0;
        let bytes = rest.as_bytes();
        while let Some(byte) = bytes.get(end) {
            let exponent_sign = matches!(byte, b'+' | b'-')
                && end.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(|b| matches!(b, b'e' | b'E'));
            if !(byte.is_ascii_alphanumeric() || *byte == b'.' || exponent_sign) {
                break;
            }
            end += 1;
        }
        let digits = rest.get(..end).unwrap_or("");
        match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                self.at += end;
                self.node(Tree::Number(number))
            }
            _ => Err(self.error(format!("`{digits}` is not a number"), "write a number such as 0.5 or 1e-3")),
        }
    }

    fn function(&mut self) -> Parsed {
        let name = self.peek_word();
        let Some(function) = FUNCTIONS.into_iter().find(|function| *function == name) else {
            return Err(self.error(format!("`{name}` is not known here"), self.word_help(name)));
        };
        let start = self.at;
        self.at += name.len();
        if !self.symbol("(") {
            return Err(self.error(format!("`(` is missing after `{name}`"), format!("write {name}(…)")));
        }
        let mut arguments = vec![self.nested(Self::or)?];
        while self.symbol(",") {
            arguments.push(self.nested(Self::or)?);
        }
        self.closing(")")?;
        self.call(function, arguments).map_err(|error| ExpressionError { offset: start, ..error })
    }

    fn word_help(&self, name: &str) -> String {
        if self.names.iter().any(|known| known == name) {
            format!("tags stand in braces: {{{name}}}")
        } else if let Some(function) = nearest(name, FUNCTIONS) {
            format!("did you mean `{function}`?")
        } else {
            format!("tags stand in braces: {{{name}}}; functions are {}", FUNCTIONS.join(", "))
        }
    }

    fn call(&mut self, function: &str, arguments: Vec<Tree>) -> Parsed {
        let count = arguments.len();
        let mut arguments = arguments.into_iter();
        let wrong = |parser: &Self, takes: &str| {
            Err(parser.error(format!("`{function}` takes {takes}, not {count}"), "correct the list of arguments"))
        };
        let one = match function {
            "abs" => Op::Abs,
            "sqrt" => Op::Sqrt,
            "exp" => Op::Exp,
            "ln" => Op::Ln,
            "clamp" => {
                let (Some(x), Some(lo), Some(hi), None) =
                    (arguments.next(), arguments.next(), arguments.next(), arguments.next())
                else {
                    return wrong(self, "three numbers");
                };
                let raised = self.binary(Op::Max, x, lo)?;
                return self.binary(Op::Min, raised, hi);
            }
            _ => {
                let op = if function == "min" { Op::Min } else { Op::Max };
                let (Some(mut left), true) = (arguments.next(), count >= 2) else {
                    return wrong(self, "two numbers or more");
                };
                for right in arguments {
                    left = self.binary(op, left, right)?;
                }
                return Ok(left);
            }
        };
        match (arguments.next(), arguments.next()) {
            (Some(inner), None) => self.unary(one, inner),
            _ => wrong(self, "one number"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> Vec<String> {
        ["PH", "PH_SP", "flow rate"].map(str::to_owned).to_vec()
    }

    fn value(text: &str) -> Option<f64> {
        let tree = parse(text, &names()).ok()?;
        compile(&tree, &|_| None).ok()?.eval_with(|tag| [7.0, 6.5, 2.0].get(tag.index()).copied())
    }

    fn failure(text: &str) -> (usize, String, String) {
        let error = parse(text, &names()).expect_err(text);
        (error.offset, error.message, error.help)
    }

    #[test]
    fn expressions_bind_as_people_expect() {
        for (text, expected) in [
            ("{PH_SP} - 0.2", 6.3),
            ("1 - 2 - 3", -4.0),
            ("2 + 3 * 4", 14.0),
            ("-(2 + 3) * -4", 20.0),
            ("--2", 2.0),
            ("12 / 3 / 2", 2.0),
            ("min(3, 1, 2) + max(3, {PH}) + abs(-1)", 9.0),
            ("clamp({PH}, 0, 5)", 5.0),
            ("sqrt(16) + exp(0) + ln(1)", 5.0),
            ("{flow rate} * 1e1", 20.0),
            ("{PH} > 6 and {PH} < 8", 1.0),
            ("not {PH} > 6 or 0", 0.0),
            ("1 == 1 and 1 != 2 and 1 <= 1 and 1 >= 1", 1.0),
        ] {
            let found = value(text).unwrap_or(f64::NAN);
            assert!((found - expected).abs() < 1e-12, "{text}: {found}");
        }
    }

    #[test]
    fn a_mistake_is_named_at_its_place() {
        assert_eq!(failure("{PH} +").0, 6);
        assert_eq!(failure("{PH} {PH}").0, 5);
        assert_eq!(failure("({PH}").1, "`)` is missing here");
        assert_eq!(failure("2 ** 3").2, "there is no power; write {X} * {X}");
        assert_eq!(failure("1 < 2 < 3").2, "join two comparisons with `and`");
        assert_eq!(failure("1 + PH").2, "tags stand in braces: {PH}");
        assert_eq!(failure("mim(1, 2)").2, "did you mean `min`?");
        assert_eq!(failure("abs(1, 2)").1, "`abs` takes one number, not 2");
        assert_eq!(failure("1.2.3").1, "`1.2.3` is not a number");
        assert_eq!(failure("{PH").1, "this brace is not closed");
        let (offset, message, help) = failure("1 + {PH_SQ}");
        assert_eq!((offset, message.as_str(), help.as_str()), (4, "there is no tag `PH_SQ`", "did you mean {PH_SP}?"));
    }

    #[test]
    fn expressions_are_bounded() {
        assert!(failure(&"(".repeat(1000)).1.contains("nests deeper"));
        assert!(failure(&"-".repeat(1000)).1.contains("nests deeper"));
        assert!(failure(&format!("1{}", " + {PH}".repeat(1000))).1.contains("longer than"));
        let tree = parse(&format!("1{}", " + {PH}".repeat(40)), &names()).expect("short enough to be a tree");
        assert!(compile(&tree, &|_| None).is_err_and(|error| error.contains("more than 64") || error.contains("81")));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse(&text, &names());
        }

        #[test]
        fn no_heap_of_symbols_panics(parts in proptest::collection::vec(prop_oneof![
            Just("{PH}"), Just("("), Just(")"), Just("+"), Just("-"), Just("*"), Just("<"), Just("and "), Just("not "),
            Just("min("), Just(","), Just("1"), Just(" "),
        ], 0..80)) {
            let text = parts.concat();
            match parse(&text, &names()) {
                Ok(tree) => { let _ = compile(&tree, &|_| None); }
                Err(error) => prop_assert!(text.is_char_boundary(error.offset)),
            }
        }
    }
}
