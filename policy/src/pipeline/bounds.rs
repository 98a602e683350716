//! How far the agent may go with a setpoint: its own bounds, inside the scale and the guardrail.

use rt_config::{Range, Setpoint, Tag};
use rt_core::carry::Carrier;
use rt_core::expression::Program;

use super::guard::Guard;
use super::{Values, all_fresh, clip, value_of};

/// The bounds of one action: the first that is defined of expressions, red bounds, and the scale.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    scale: Range,
    rule: Rule,
    guard: Option<Guard>,
    now: Option<Range>,
}

#[derive(Clone, Debug)]
enum Rule {
    Fixed(Range),
    Programs(Box<(Program, Program)>),
}

impl Bounds {
    pub(super) fn of(setpoint: &Setpoint, tags: &[Tag]) -> Self {
        let red = tags.get(setpoint.tag.index()).and_then(|tag| tag.red_bounds);
        let rule = match setpoint.action_bounds {
            Some(programs) => Rule::Programs(Box::new(programs)),
            None => Rule::Fixed(red.unwrap_or(setpoint.scale)),
        };
        let guard = setpoint.guardrail.as_ref().map(|guardrail| Guard::new(guardrail, setpoint.scale));
        Self { scale: setpoint.scale, rule, guard, now: None }
    }

    /// The bounds of this observation in engineering units, ordered and inside the scale; `None` when an input of
    /// theirs is missing or too old.
    pub(super) fn evaluate(&mut self, values: &Values, fresh: &[bool]) -> Option<Range> {
        self.now = match &self.rule {
            Rule::Fixed(range) => Some((range.lo, range.hi)),
            Rule::Programs(programs) => {
                let end = |program: &Program| {
                    let value = program.eval_with(|tag| value_of(values, tag));
                    value.filter(|_| all_fresh(program, fresh))
                };
                end(&programs.0).zip(end(&programs.1))
            }
        }
        .map(|(one, other)| {
            let inside = |x| clip(x, self.scale.lo, self.scale.hi);
            let (one, other) = (inside(one), inside(other));
            if one <= other { Range { lo: one, hi: other } } else { Range { lo: other, hi: one } }
        });
        if let Some(guard) = &mut self.guard {
            self.now = guard.cut(self.now);
        }
        self.now
    }

    /// The bounds of the last observation.
    pub(super) fn now(&self) -> Option<Range> {
        self.now
    }

    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        // What the site fixes; and what every observation fills before it is used.
        let Self { scale: _, rule: _, guard, now: _ } = self;
        guard.iter_mut().for_each(|guard| guard.carry(carrier));
    }
}
