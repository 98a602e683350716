//! The twelve manipulated variables, in their published order: eleven valves and the agitator, each with a lag.

/// How many there are.
pub(super) const COUNT: usize = 12;

pub(super) const D_FEED: usize = 0;
pub(super) const E_FEED: usize = 1;
pub(super) const A_FEED: usize = 2;
pub(super) const AC_FEED: usize = 3;
pub(super) const RECYCLE: usize = 4;
pub(super) const PURGE: usize = 5;
pub(super) const SEPARATOR_LIQUID: usize = 6;
pub(super) const STRIPPER_LIQUID: usize = 7;
pub(super) const STEAM: usize = 8;
pub(super) const REACTOR_WATER: usize = 9;
pub(super) const CONDENSER_WATER: usize = 10;
pub(super) const AGITATOR: usize = 11;

/// Where each is, or is to be, %.
pub(super) type Positions = [f64; COUNT];

/// Where they stand in the base case.
pub(super) const BASE: Positions = [
    63.052_630_39,
    53.979_706_77,
    24.643_557_55,
    61.301_921_44,
    22.21,
    40.063_746_73,
    38.100_343_70,
    46.534_155_82,
    47.445_734_56,
    41.105_812_88,
    18.113_490_55,
    50.0,
];

/// Time constants, s.
const LAGS_S: [f64; COUNT] = [8.0, 8.0, 6.0, 9.0, 7.0, 5.0, 5.0, 5.0, 120.0, 5.0, 5.0, 5.0];
/// A valve that sticks does not follow a command that is no further than this from the one before, %.
const STICKING: f64 = 2.0;

/// Which valves stick.
pub(super) type Stuck = [bool; COUNT];

/// The valves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Valves {
    pub(super) positions: Positions,
    /// Where they go.
    targets: Positions,
}

impl Valves {
    /// At rest where the base case has them.
    pub(super) fn at_rest() -> Self {
        Self { positions: BASE, targets: BASE }
    }

    /// Moves for so long towards `commands`.
    pub(super) fn follow(&mut self, commands: &Positions, stuck: &Stuck, seconds: f64) {
        for valve in 0..COUNT {
            let is_free = !stuck[valve] || (commands[valve] - self.targets[valve]).abs() > STICKING;
            if is_free {
                self.targets[valve] = commands[valve].clamp(0.0, 100.0);
            }
            let position = &mut self.positions[valve];
            *position += seconds * (self.targets[valve] - *position) / LAGS_S[valve];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: usize = 600;

    /// The position of the purge valve ten minutes after a command.
    fn settled(valves: &mut Valves, command: f64, is_stuck: bool) -> f64 {
        let mut commands = BASE;
        commands[PURGE] = command;
        let mut stuck = [false; COUNT];
        stuck[PURGE] = is_stuck;
        (0..SECONDS).for_each(|_| valves.follow(&commands, &stuck, 1.0));
        valves.positions[PURGE]
    }

    #[test]
    fn a_valve_goes_three_fifths_of_its_way_in_its_time_constant() {
        let mut valves = Valves::at_rest();
        let mut commands = BASE;
        commands[STEAM] = BASE[STEAM] + 10.0;
        (0..120).for_each(|_| valves.follow(&commands, &[false; COUNT], 1.0));
        let way = valves.positions[STEAM] - BASE[STEAM];
        assert!((way - 6.3).abs() < 0.05, "{way}");
    }

    #[test]
    fn a_valve_that_sticks_ignores_small_changes_until_they_add_up() {
        let mut valves = Valves::at_rest();
        let base = BASE[PURGE];
        assert_eq!(settled(&mut valves, base + 1.5, true), base);
        assert!((settled(&mut valves, base + 2.5, true) - (base + 2.5)).abs() < 1e-6);
        assert!((settled(&mut valves, base + 3.5, true) - (base + 2.5)).abs() < 1e-6);
        assert!((settled(&mut valves, base + 3.5, false) - (base + 3.5)).abs() < 1e-6);
    }

    #[test]
    fn a_command_out_of_range_is_the_end_of_the_range() {
        let mut valves = Valves::at_rest();
        assert!((settled(&mut valves, 250.0, false) - 100.0).abs() < 1e-6);
        assert!(settled(&mut valves, -250.0, false).abs() < 1e-6);
    }
}
