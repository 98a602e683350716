//! The keys of the pipeline's optional stages (filters, triggers, seasons, the decision clock, guardrails) and of cascades. A
//! part of the raw file.

use rt_core::time::Span;

use crate::form::{choices, sections};
use crate::form_special::{ModeChoice, OneOrMore};
use crate::site::Range;
use crate::value::{Formula, Whole};

choices! {
    /// What a filter looks at, CoreRL's words.
    enum FilterName {
        /// Nothing.
        Identity = "identity",
        /// The distance from a moving average.
        ExpMoving = "exp_moving",
        /// Whether it still moves.
        StuckDetector = "stuck_detector",
        /// A condition over tags.
        Conditional = "conditional",
    }

    /// What comes back regularly, CoreRL's words.
    enum SeasonName {
        /// Once an hour.
        SecondInHour = "second_in_hour",
        /// Once a day.
        TimeOfDay = "time_of_day",
        /// Once a week.
        DayOfWeek = "day_of_week",
        /// Once a year.
        DayOfYear = "day_of_year",
    }

    /// What a trigger sets off, CoreRL's words.
    enum EventName {
        /// A decision.
        EmitAction = "step_emit_action",
        /// Counting the action period from the trigger on; without effect.
        PeriodReset = "action_period_reset",
    }

    /// How the state tells when the next decision is.
    enum ClockName {
        /// Not at all.
        Off = "off",
        /// A column for each observation of the action period.
        OneHot = "one_hot",
        /// One column.
        Countdown = "countdown",
    }
}

sections! {
    /// What makes a value missing although its quality is good.
    struct Filter {
        /// `exp_moving` (too far from a moving average), `stuck_detector` (it no longer moves), `conditional` (while a condition holds), or `identity` (nothing).
        name: FilterName, Required;
        /// Of `exp_moving`: the decay of the average per observation, at least 0 and below 1.
        alpha: f64, Default("0.99");
        /// Of `exp_moving`: a value farther from the average than so many standard deviations is missing.
        tolerance: f64, Default("2.0");
        /// Of `exp_moving`: nothing is missing before so many values, and so many outliers in a row are believed: the average starts anew from the last one.
        warmup: Whole<2, 1_000_000>, Default("10");
        /// Of `exp_moving`: the standard deviation counts as at least this. Engineering units, above 0; absent: a hundredth of the tag's range.
        deviation_min: f64, Optional;
        /// Of `stuck_detector`: a value moves when it leaves where it was by more than this. Engineering units, at least 0.
        eps: f64, Default("0.001");
        /// Of `stuck_detector`: a value that did not move for more observations is missing until it does.
        step_tol: Whole<1, 1_000_000>, Default("10");
        /// Of `conditional`: the value is missing while this expression is above 0, and while an input of it is missing.
        condition: Formula, Optional;
    }

    /// What makes a decision between those of `interaction.action_period`.
    struct Trigger {
        /// An expression such as "{LEVEL} > 0.9": when it becomes true, the observation that sees it decides, too. It is judged on what was read, before ranges and filters; while an input is missing or too old it is unknown, and changes nothing.
        condition: Formula, Required;
        /// Between two decisions that this trigger makes lies at least this time; what comes sooner is passed over.
        min_distance: Span, Default("0s");
        /// `step_emit_action`, which is what a trigger does in any case.
        event: OneOrMore<EventName>, Default("step_emit_action");
    }

    /// Two setpoints, of which the plant follows one: the operator's, or the agent's, which is this tag. While it follows the operator's, or nobody can tell, nothing is written; the agent then goes on from what stands in its own. Let the controller keep that at the operator's meanwhile, or the plant jumps by itself at the switch.
    struct Cascade {
        /// The operator's setpoint: a tag that is read.
        op_sp: String, Required;
        /// What the agent writes: the node, unless `node_identifier` says it, or a tag of the same node.
        ai_sp: String, Optional;
        /// A tag that says which one the plant follows, by the values `op_mode` and `ai_mode`.
        mode: String, Optional;
        /// The value of `mode` while the plant follows the operator; or, without `mode`, a tag that is 1 then. Absent: whenever `ai_mode` is not there.
        op_mode: ModeChoice, Optional;
        /// The same for the agent. Always needed: what is not the operator's may be nobody's.
        ai_mode: ModeChoice, Optional;
    }

    /// A range of a setpoint that widens with time.
    struct GuardrailSchedule {
        /// Where the agent may go at the start: inside the operating range, around the nominal setpoint. Engineering units.
        starting_range: Range, Required;
        /// After this long the range is the operating range. It begins anew with every start of the runtime.
        duration: Span, Required;
    }
}
