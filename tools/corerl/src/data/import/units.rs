//! Units, and numbers from one into another.

/// A unit by its spellings. A value of it is (value + shift) * numerator / denominator of the first unit of its kind; so what is
/// round in one stays round in the other.
struct Unit {
    names: &'static [&'static str],
    shift: f64,
    ratio: (f64, f64),
}

const fn unit(names: &'static [&'static str], shift: f64, ratio: (f64, f64)) -> Unit {
    Unit { names, shift, ratio }
}

/// What can be converted into each other.
const KINDS: [&[Unit]; 6] = [
    &[
        unit(&["°C", "degC", "C"], 0.0, (1.0, 1.0)),
        unit(&["°F", "degF", "F"], -32.0, (5.0, 9.0)),
        unit(&["K"], -273.15, (1.0, 1.0)),
    ],
    &[
        unit(&["Pa"], 0.0, (1.0, 1.0)),
        unit(&["kPa"], 0.0, (1e3, 1.0)),
        unit(&["MPa"], 0.0, (1e6, 1.0)),
        unit(&["mbar", "hPa"], 0.0, (1e2, 1.0)),
        unit(&["bar"], 0.0, (1e5, 1.0)),
        unit(&["psi"], 0.0, (6_894.757_293_168_361, 1.0)),
    ],
    &[
        unit(&["m³/h", "m3/h"], 0.0, (1.0, 1.0)),
        unit(&["m³/s", "m3/s"], 0.0, (3_600.0, 1.0)),
        unit(&["l/min", "L/min"], 0.0, (6.0, 100.0)),
        unit(&["l/h", "L/h"], 0.0, (1.0, 1e3)),
        unit(&["l/s", "L/s"], 0.0, (36.0, 10.0)),
        unit(&["gpm"], 0.0, (0.227_124_707_04, 1.0)),
    ],
    &[
        unit(&["m"], 0.0, (1.0, 1.0)),
        unit(&["cm"], 0.0, (1.0, 1e2)),
        unit(&["mm"], 0.0, (1.0, 1e3)),
        unit(&["in"], 0.0, (254.0, 1e4)),
        unit(&["ft"], 0.0, (3_048.0, 1e4)),
    ],
    &[
        unit(&["kg"], 0.0, (1.0, 1.0)),
        unit(&["g"], 0.0, (1.0, 1e3)),
        unit(&["t"], 0.0, (1e3, 1.0)),
        unit(&["lb"], 0.0, (0.453_592_37, 1.0)),
    ],
    &[unit(&["%"], 0.0, (1.0, 1.0)), unit(&["1"], 0.0, (1e2, 1.0)), unit(&["ppm"], 0.0, (1.0, 1e4))],
];

/// From what is in a file to engineering units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Conversion {
    steps: Steps,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Steps {
    #[default]
    None,
    Linear {
        scale: f64,
        offset: f64,
    },
    Units {
        from: (f64, (f64, f64)),
        to: (f64, (f64, f64)),
    },
}

impl Conversion {
    /// value * scale + offset.
    pub(super) const fn linear(scale: f64, offset: f64) -> Self {
        Self { steps: Steps::Linear { scale, offset } }
    }

    /// From one unit into another; a sentence about units that do not go together.
    pub(super) fn between(from: &str, to: &str) -> Result<Self, String> {
        let find = |kind: &'static [Unit], name: &str| {
            kind.iter().find(|unit| unit.names.contains(&name)).map(|unit| (unit.shift, unit.ratio))
        };
        if from == to {
            return Ok(Self::default());
        }
        let found = KINDS.iter().find_map(|kind| Some((find(kind, from)?, find(kind, to)?)));
        found.map(|(from, to)| Self { steps: Steps::Units { from, to } }).ok_or_else(|| {
            let known: Vec<_> = KINDS.iter().flat_map(|kind| kind.iter()).map(|unit| unit.names[0]).collect();
            format!(
                "nobody knows here how {from} becomes {to}: give scale and offset, or units that go together of {}",
                known.join(", ")
            )
        })
    }

    /// The value in engineering units.
    pub(super) fn of(&self, value: f64) -> f64 {
        match self.steps {
            Steps::None => value,
            Steps::Linear { scale, offset } => value * scale + offset,
            Steps::Units { from: (shift, (up, down)), to: (back, (over, under)) } => {
                (value + shift) * up / down * under / over - back
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_an_engineer_knows_by_heart_comes_out_round() {
        for (value, from, to, expected) in [
            (100.0, "°C", "°F", 212.0),
            (-40.0, "degF", "°C", -40.0),
            (0.0, "°C", "K", 273.15),
            (1.5, "bar", "kPa", 150.0),
            (250.0, "kPa", "bar", 2.5),
            (60.0, "l/min", "m³/h", 3.6),
            (12.0, "in", "ft", 1.0),
            (0.25, "1", "%", 25.0),
            (7.0, "pH", "pH", 7.0),
        ] {
            assert_eq!(Conversion::between(from, to).unwrap().of(value), expected, "{value} {from} in {to}");
        }
        let psi = Conversion::between("psi", "kPa").unwrap().of(1.0);
        assert!((psi - 6.894_757_293).abs() < 1e-9, "{psi}");
        assert_eq!(Conversion::linear(0.1, -5.0).of(100.0), 5.0);
        assert!(Conversion::between("bar", "K").unwrap_err().contains("scale and offset"));
        assert!(Conversion::between("furlong", "m").is_err());
    }

    proptest! {
        #[test]
        fn there_and_back_is_where_one_began(value in -1e4f64..1e4, kind in 0usize..6, one: prop::sample::Index, other: prop::sample::Index) {
            let name = |at: prop::sample::Index| KINDS[kind][at.index(KINDS[kind].len())].names[0];
            let (from, to) = (name(one), name(other));
            let there = Conversion::between(from, to).unwrap().of(value);
            let back = Conversion::between(to, from).unwrap().of(there);
            prop_assert!((back - value).abs() <= 1e-9 * (1.0 + value.abs() + there.abs()), "{value} {from} {there} {to} {back}");
        }
    }
}
