//! Expressions over tags as fixed-size programs: what interlocks, bounds and computed tags are made of.
//!
//! A [`Program`] is a short sequence of [`Op`]s in postfix order. Its stack is checked when it is built, so evaluating it
//! cannot go wrong in any way but one: an input is missing, or a result is not finite. Then there is no value.
//! Truth is a number: 1 and 0; every number but 0 counts as true.

use crate::image::Image;
use crate::tag::TagId;

/// The most operations in one program.
pub const OPS_MAX: usize = 64;
/// The most numbers on the stack while a program runs.
pub const STACK_MAX: usize = 16;

const _: () = assert!(STACK_MAX <= OPS_MAX, "a stack deeper than the program is long is never filled");

/// One step of a program. Binary operations take the number pushed first as their left side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// Push a finite number.
    Const(f64),
    /// Push a tag's usable value.
    Tag(TagId),
    /// Left plus right.
    Add,
    /// Left minus right.
    Sub,
    /// Left times right.
    Mul,
    /// Left divided by right; there is no value when right is 0.
    Div,
    /// The number with its sign changed.
    Neg,
    /// The smaller of two.
    Min,
    /// The larger of two.
    Max,
    /// The number without its sign.
    Abs,
    /// The square root; there is no value for a negative number.
    Sqrt,
    /// e to the power of the number.
    Exp,
    /// The natural logarithm; there is no value for numbers that are not positive.
    Ln,
    /// Left is less than right.
    Lt,
    /// Left is at most right.
    Le,
    /// Left is greater than right.
    Gt,
    /// Left is at least right.
    Ge,
    /// Both are the same number.
    Eq,
    /// They are different numbers.
    Ne,
    /// Both are true. Both sides are evaluated.
    And,
    /// At least one is true. Both sides are evaluated.
    Or,
    /// Not true.
    Not,
}

impl Op {
    /// How many numbers it takes from the stack. It puts one back.
    const fn operands(self) -> usize {
        match self {
            Self::Const(_) | Self::Tag(_) => 0,
            Self::Neg | Self::Abs | Self::Sqrt | Self::Exp | Self::Ln | Self::Not => 1,
            _ => 2,
        }
    }
}

/// Why a sequence of operations is not a program.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ProgramError {
    /// There is no operation in it.
    #[error("the expression is empty")]
    Empty,
    /// It is longer than [`OPS_MAX`].
    #[error("the expression needs {ops} operations, at most {OPS_MAX} are possible")]
    TooLong {
        /// Its length.
        ops: usize,
    },
    /// The operation at `at` takes more numbers than there are.
    #[error("operation {at} lacks an operand")]
    MissingOperand {
        /// The operation's index.
        at: usize,
    },
    /// The operation at `at` would push number [`STACK_MAX`] + 1.
    #[error("operation {at} nests deeper than {STACK_MAX} intermediate results")]
    TooDeep {
        /// The operation's index.
        at: usize,
    },
    /// The constant at `at` is not a finite number.
    #[error("the constant of operation {at} is not finite")]
    NotFinite {
        /// The operation's index.
        at: usize,
    },
    /// More than one number is left at the end.
    #[error("{left} results are left at the end instead of one")]
    Unconsumed {
        /// How many.
        left: usize,
    },
}

/// A checked expression of at most [`OPS_MAX`] operations.
#[derive(Clone, Copy, PartialEq)]
pub struct Program {
    len: usize,
    ops: [Op; OPS_MAX],
}

impl Program {
    /// Checks `ops` and makes a program of them.
    ///
    /// # Errors
    /// Names the first operation that cannot be carried out.
    pub fn new(ops: &[Op]) -> Result<Self, ProgramError> {
        let mut program = Self { len: ops.len(), ops: [Op::Const(0.0); OPS_MAX] };
        if ops.is_empty() {
            return Err(ProgramError::Empty);
        }
        if ops.len() > OPS_MAX {
            return Err(ProgramError::TooLong { ops: ops.len() });
        }
        let mut depth = 0_usize;
        for (at, (slot, op)) in program.ops.iter_mut().zip(ops).enumerate() {
            if matches!(op, Op::Const(value) if !value.is_finite()) {
                return Err(ProgramError::NotFinite { at });
            }
            let below = depth.checked_sub(op.operands()).ok_or(ProgramError::MissingOperand { at })?;
            depth = below.saturating_add(1);
            if depth > STACK_MAX {
                return Err(ProgramError::TooDeep { at });
            }
            *slot = *op;
        }
        if depth == 1 { Ok(program) } else { Err(ProgramError::Unconsumed { left: depth }) }
    }

    /// The operations.
    pub fn ops(&self) -> &[Op] {
        self.ops.get(..self.len).unwrap_or(&self.ops)
    }

    /// The tags that it reads, in order of appearance, possibly more than once.
    pub fn tags(&self) -> impl Iterator<Item = TagId> {
        self.ops().iter().filter_map(|op| if let Op::Tag(tag) = op { Some(*tag) } else { None })
    }

    /// The value on this image; `None` when an input is not usable or any intermediate result is not finite.
    ///
    /// # Real-time
    /// Wait-free, bounded by [`OPS_MAX`] operations.
    pub fn eval(&self, image: &Image) -> Option<f64> {
        self.eval_with(|tag| image.usable(tag))
    }

    /// The value with the inputs that `input` gives.
    ///
    /// # Real-time
    /// Wait-free, bounded by [`OPS_MAX`] operations and as many calls of `input`.
    pub fn eval_with(&self, mut input: impl FnMut(TagId) -> Option<f64>) -> Option<f64> {
        let mut stack = Stack { values: [0.0; STACK_MAX], depth: 0 };
        for op in self.ops() {
            let result = match (op, op.operands()) {
                (Op::Const(value), _) => *value,
                (Op::Tag(tag), _) => input(*tag)?,
                (_, 1) => unary(*op, stack.pop()?),
                _ => {
                    let right = stack.pop()?;
                    binary(*op, stack.pop()?, right)
                }
            };
            stack.push(result)?;
        }
        stack.pop()
    }

    /// Whether the value is true on this image; `None` when there is no value.
    ///
    /// # Real-time
    /// As [`Program::eval`].
    pub fn holds(&self, image: &Image) -> Option<bool> {
        self.eval(image).map(truth)
    }
}

impl core::fmt::Debug for Program {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Program").field(&self.ops()).finish()
    }
}

struct Stack {
    values: [f64; STACK_MAX],
    depth: usize,
}

impl Stack {
    /// `None` when the value is not finite (or the stack is full, which the program's construction excludes).
    fn push(&mut self, value: f64) -> Option<()> {
        let slot = self.values.get_mut(self.depth)?;
        *slot = if value.is_finite() { value } else { return None };
        self.depth = self.depth.saturating_add(1);
        Some(())
    }

    fn pop(&mut self) -> Option<f64> {
        self.depth = self.depth.checked_sub(1)?;
        self.values.get(self.depth).copied()
    }
}

fn truth(value: f64) -> bool {
    value != 0.0
}

fn unary(op: Op, x: f64) -> f64 {
    match op {
        Op::Neg => -x,
        Op::Abs => x.abs(),
        Op::Sqrt => libm::sqrt(x),
        Op::Exp => libm::exp(x),
        Op::Ln => libm::log(x),
        Op::Not => f64::from(!truth(x)),
        _ => f64::NAN,
    }
}

fn binary(op: Op, x: f64, y: f64) -> f64 {
    match op {
        Op::Add => x + y,
        Op::Sub => x - y,
        Op::Mul => x * y,
        Op::Div => x / y,
        // Written out: the order of -0 and 0 is left open by `f64::min`, and a recording has to replay bit for bit.
        Op::Min => {
            if y < x {
                y
            } else {
                x
            }
        }
        Op::Max => {
            if y > x {
                y
            } else {
                x
            }
        }
        Op::Lt => f64::from(x < y),
        Op::Le => f64::from(x <= y),
        Op::Gt => f64::from(x > y),
        Op::Ge => f64::from(x >= y),
        Op::Eq => f64::from(x == y),
        Op::Ne => f64::from(x != y),
        Op::And => f64::from(truth(x) && truth(y)),
        Op::Or => f64::from(truth(x) || truth(y)),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(ops: &[Op]) -> Option<f64> {
        Program::new(ops).unwrap().eval_with(|tag| (tag.index() < 4).then_some(tag.index() as f64 + 0.5))
    }

    fn tag(index: usize) -> Op {
        Op::Tag(TagId::new(index).unwrap())
    }

    #[test]
    fn a_program_computes_in_postfix_order() {
        // {T1} - 0.2
        assert_eq!(value(&[tag(1), Op::Const(0.2), Op::Sub]), Some(1.3));
        // max(|-3|, 2) / 4
        let ops = [Op::Const(3.0), Op::Neg, Op::Abs, Op::Const(2.0), Op::Max, Op::Const(4.0), Op::Div];
        assert_eq!(value(&ops), Some(0.75));
        // ln(exp(sqrt 4)) == 2, and not false
        let ops = [Op::Const(4.0), Op::Sqrt, Op::Exp, Op::Ln, Op::Const(2.0), Op::Eq, Op::Const(0.0), Op::Not, Op::And];
        assert_eq!(value(&ops), Some(1.0));
    }

    #[test]
    fn a_missing_input_leaves_no_value_even_where_it_would_not_matter() {
        assert_eq!(value(&[tag(9)]), None);
        assert_eq!(value(&[Op::Const(1.0), tag(9), Op::Or]), None);
        assert_eq!(value(&[tag(9), Op::Const(0.0), Op::Mul]), None);
    }

    #[test]
    fn an_intermediate_result_that_is_not_finite_leaves_no_value() {
        assert_eq!(value(&[Op::Const(1.0), Op::Const(0.0), Op::Div, Op::Const(5.0), Op::Lt]), None);
        assert_eq!(value(&[Op::Const(-1.0), Op::Sqrt]), None);
        assert_eq!(value(&[Op::Const(0.0), Op::Ln]), None);
        assert_eq!(value(&[Op::Const(f64::MAX), Op::Const(2.0), Op::Mul]), None);
    }

    #[test]
    fn what_is_not_a_program_is_refused_with_its_place() {
        assert_eq!(Program::new(&[]), Err(ProgramError::Empty));
        assert_eq!(Program::new(&[Op::Const(1.0), Op::Add]), Err(ProgramError::MissingOperand { at: 1 }));
        assert_eq!(Program::new(&[Op::Const(1.0), Op::Const(1.0)]), Err(ProgramError::Unconsumed { left: 2 }));
        assert_eq!(Program::new(&[Op::Const(f64::NAN)]), Err(ProgramError::NotFinite { at: 0 }));
        assert_eq!(Program::new(&[Op::Const(1.0); STACK_MAX + 1]), Err(ProgramError::TooDeep { at: STACK_MAX }));
        assert_eq!(Program::new(&[Op::Const(1.0); OPS_MAX + 1]), Err(ProgramError::TooLong { ops: OPS_MAX + 1 }));
    }

    fn any_op() -> impl Strategy<Value = Op> {
        use Op::*;
        let plain =
            [Add, Sub, Mul, Div, Neg, Min, Max, Abs, Sqrt, Exp, Ln, Lt, Le, Gt, Ge, Eq, Ne, And, Or, Not].to_vec();
        prop_oneof![
            4 => any::<f64>().prop_map(Const),
            4 => (0_usize..6).prop_map(tag),
            5 => prop::sample::select(plain),
        ]
    }

    proptest! {
        #[test]
        fn a_value_is_finite(ops in prop::collection::vec(any_op(), 1..24)) {
            if let Ok(program) = Program::new(&ops) {
                let value = program.eval_with(|tag| (tag.index() < 5).then_some(tag.index() as f64 - 2.0));
                prop_assert!(value.is_none_or(f64::is_finite));
                prop_assert_eq!(program.ops(), &ops[..]);
            }
        }
    }
}
