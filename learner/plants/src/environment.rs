//! Environments as people describe them: a name, the options of that plant, and disturbances.

use crate::calibration::{CalibrationOptions, Worn};
use crate::distraction::{Distraction, DistractionOptions};
use crate::inertia::{Inertia, InertiaOptions};
use crate::lost_in_translation::{LostInTranslationOptions, Walk};
use crate::mountain_car::{MountainCar, MountainCarContinuousOptions, StandStill, StandStillOptions};
use crate::multi_action_saturation::{MultiActionSaturationOptions, Vessels};
use crate::nonstationary::{Chain, NonstationaryOptions};
use crate::options::{Checks, ImpossibleOptions};
use crate::pvs::{Loop, PvsOptions};
use crate::quadruple_tank::{FourTanks, QuadrupleTankOptions};
use crate::saturation::{SaturationOptions, Vessel};
use crate::saturation_goals::{SaturationGoalsOptions, Vessel as VesselWithGoals};
use crate::simulated::{Dynamics, Simulated};
use crate::stirred_tank_reactor::{Reactor, StirredTankReactorOptions};
use crate::t_maze::{TMaze, TMazeOptions};
use crate::temperature_control_lab::{Heaters, TemperatureControlLabOptions};
use crate::tennessee_eastman::{BySetpoints, ByValves, TennesseeEastmanOptions};
use crate::three_tanks::{Tanks, ThreeTanksOptions};
use crate::windy_room::{WindyRoom, WindyRoomOptions};
use crate::{Disturbances, Disturbed, Plant, UnknownPlant};

/// A plant and its disturbances, as in a case file.
///
/// One map holds everything: `name`, the fields of [`Disturbances`], and the fields of the named plant's options, each
/// with a default; an unknown field is an error. In YAML: `environment: {name: saturation, delay_steps: 10}`.
///
/// ```
/// let text = r#"{"name": "t_maze", "length": 0.5, "missing_probability": 0.1}"#;
/// let environment: plants::Environment = serde_json::from_str(text)?;
/// let mut plant = environment.build(7)?;
/// plant.step(&[1.0], &mut []);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Environment {
    /// The disturbances of its readings.
    // Before the plant: of what is left after these fields, the plant refuses what it does not know.
    #[serde(flatten)]
    pub disturbances: Disturbances,
    /// The plant and its options.
    #[serde(flatten)]
    pub plant: PlantOptions,
}

/// The table of all plants: their names, options and dynamics.
macro_rules! plants {
    ($($variant:ident($options:ty) = $name:literal => $dynamics:ty,)*) => {
        /// Every plant with its options; a case file's `name` chooses.
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "name")]
        pub enum PlantOptions {
            $(
                #[doc = concat!("`", $name, "`")]
                #[serde(rename = $name)]
                $variant($options),
            )*
        }

        impl PlantOptions {
            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant(Default::default())),)*
                    _ => None,
                }
            }

            fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => <$dynamics>::NAME,)*
                }
            }

            fn check(&self, checks: &mut Checks) {
                match self {
                    $(Self::$variant(options) => options.check(checks),)*
                }
            }

            pub(crate) fn build(&self, seed: u64) -> Box<dyn Plant> {
                match self {
                    $(Self::$variant(options) => Box::new(Simulated::from_start(<$dynamics>::new(seed, *options))),)*
                }
            }
        }

        impl Environment {
            /// The names of all plants.
            pub const NAMES: &'static [&'static str] = &[$($name),*];
        }
    };
}

plants! {
    Saturation(SaturationOptions) = "saturation" => Vessel,
    MultiActionSaturation(MultiActionSaturationOptions) = "multi_action_saturation" => Vessels,
    SaturationGoals(SaturationGoalsOptions) = "saturation_goals" => VesselWithGoals,
    Calibration(CalibrationOptions) = "calibration" => Worn,
    MountainCarContinuous(MountainCarContinuousOptions) = "mountain_car_continuous" => MountainCar,
    StandStill(StandStillOptions) = "stand_still" => StandStill,
    Inertia(InertiaOptions) = "inertia" => Inertia,
    Distraction(DistractionOptions) = "distraction" => Distraction,
    Nonstationary(NonstationaryOptions) = "nonstationary" => Chain,
    TMaze(TMazeOptions) = "t_maze" => TMaze,
    WindyRoom(WindyRoomOptions) = "windy_room" => WindyRoom,
    ThreeTanks(ThreeTanksOptions) = "three_tanks" => Tanks,
    Pvs(PvsOptions) = "pvs" => Loop,
    LostInTranslation(LostInTranslationOptions) = "lost_in_translation" => Walk,
    StirredTankReactor(StirredTankReactorOptions) = "stirred_tank_reactor" => Reactor,
    QuadrupleTank(QuadrupleTankOptions) = "quadruple_tank" => FourTanks,
    TemperatureControlLab(TemperatureControlLabOptions) = "temperature_control_lab" => Heaters,
    TennesseeEastman(TennesseeEastmanOptions) = "tennessee_eastman" => ByValves,
    TennesseeEastmanSetpoints(TennesseeEastmanOptions) = "tennessee_eastman_setpoints" => BySetpoints,
}

impl Environment {
    /// The plant called `name` with all options at their defaults, undisturbed.
    ///
    /// # Errors
    /// [`UnknownPlant`] when `name` is not one of [`Environment::NAMES`].
    pub fn named(name: &str) -> Result<Self, UnknownPlant> {
        let plant =
            PlantOptions::named(name).ok_or_else(|| UnknownPlant { name: name.to_owned(), known: Self::NAMES })?;
        Ok(Self { disturbances: Disturbances::default(), plant })
    }

    /// The plant's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.plant.name()
    }

    /// Builds the plant; `seed` determines all of its noise and that of the disturbances.
    ///
    /// # Errors
    /// [`ImpossibleOptions`] with everything that is not permitted: numbers that are not finite or outside their range,
    /// and fields that contradict each other.
    pub fn build(&self, seed: u64) -> Result<Box<dyn Plant>, ImpossibleOptions> {
        let mut checks = Checks::default();
        self.disturbances.check(&mut checks);
        self.plant.check(&mut checks);
        checks.result(self.name())?;
        let plant = self.plant.build(seed);
        if self.disturbances == Disturbances::default() {
            return Ok(plant);
        }
        Ok(Box::new(Disturbed::new(plant, self.disturbances, seed)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Environment, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn every_name_builds_the_plant_of_that_name_and_survives_a_round_trip() {
        for name in Environment::NAMES {
            let environment = Environment::named(name).unwrap();
            assert_eq!((environment.name(), environment.build(1).unwrap().name()), (*name, *name));
            assert_eq!(read(&format!(r#"{{"name": "{name}"}}"#)).unwrap(), environment);
            let text = serde_json::to_string(&environment).unwrap();
            assert_eq!(read(&text).unwrap(), environment, "{text}");
            let yaml: Environment = serde_saphyr::from_str(&serde_saphyr::to_string(&environment).unwrap()).unwrap();
            assert_eq!(yaml, environment);
        }
    }

    #[test]
    fn a_case_files_yaml_is_read_with_integers_for_numbers() {
        let environment: Environment = serde_saphyr::from_str(
            "{name: saturation, delay_steps: 10, setpoint: 1, multimodal: {count: 5}, setpoint_change: [500, 0.7]}",
        )
        .unwrap();
        assert_eq!(environment.disturbances, Disturbances { delay_steps: 10, ..Disturbances::default() });
        let PlantOptions::Saturation(options) = environment.plant else { panic!("{environment:?}") };
        assert_eq!((options.setpoint, options.setpoint_change), (1.0, Some((500, 0.7))));
        assert_eq!(options.multimodal, Some(crate::Multimodal { count: 5.0, amplitude: 0.5 }));
    }

    #[test]
    fn an_unknown_name_or_field_is_answered_with_the_known_ones() {
        let refused = read(r#"{"name": "boiler"}"#).unwrap_err();
        assert!(Environment::NAMES.iter().all(|name| refused.contains(name)), "{refused}");
        let refused = read(r#"{"name": "t_maze", "lenght": 0.2}"#).unwrap_err();
        assert!(refused.contains("lenght") && refused.contains("`length`"), "{refused}");
        let refused = read(r#"{"name": "t_maze", "step_max": 0.2}"#).unwrap_err();
        assert!(refused.contains("step_max"), "{refused}");
        assert!(read(r#"{"length": 0.2}"#).unwrap_err().contains("name"));
        assert_eq!(Environment::named("boiler").unwrap_err().known, Environment::NAMES);
    }

    #[test]
    fn impossible_options_are_refused_with_all_complaints() {
        let refused = |text: &str| read(text).unwrap().build(1).unwrap_err().to_string();
        assert_eq!(
            refused(r#"{"name": "saturation", "delay_steps": 2000, "missing_probability": 1.5, "setpoint": -1}"#),
            "the environment `saturation` cannot be built: `delay_steps` is 2000: give a value from 0 to 1000; \
             `missing_probability` is 1.5: give a value from 0.0 to 1.0; \
             `setpoint` is -1.0: give a value from 0.0 to 1.0"
        );
        for (text, option) in [
            (r#"{"name": "saturation", "decay_period_steps": 0}"#, "decay_period_steps"),
            (r#"{"name": "saturation", "gain_period_steps": 0}"#, "gain_period_steps"),
            (r#"{"name": "saturation", "multimodal": {"count": -1}}"#, "multimodal"),
            (r#"{"name": "saturation", "setpoint_change": [5, 2]}"#, "setpoint_change"),
            (r#"{"name": "saturation_goals", "margin_steps": 0}"#, "margin_steps"),
            (r#"{"name": "saturation_goals", "lo_mean": 0.8}"#, "lo_mean"),
            (r#"{"name": "saturation_goals", "lo_amplitude": 0.3}"#, "lo_amplitude"),
            (r#"{"name": "calibration", "gain": 0.2}"#, "cost_scale"),
            (r#"{"name": "calibration", "slope": 0.8}"#, "slope"),
            (r#"{"name": "mountain_car_continuous", "goal": -0.5}"#, "goal"),
            (r#"{"name": "mountain_car_continuous", "track": [0.6, -1.2]}"#, "track"),
            (r#"{"name": "stand_still", "start": [0.1, 0.0]}"#, "start"),
            (r#"{"name": "distraction", "noises": 101}"#, "noises"),
            (r#"{"name": "distraction", "actions": 0}"#, "actions"),
            (r#"{"name": "nonstationary", "upstream_sensor_range": [1, 0]}"#, "upstream_sensor_range"),
            (
                r#"{"name": "nonstationary", "downstream_dynamics_period_steps": 0.5}"#,
                "downstream_dynamics_period_steps",
            ),
            (r#"{"name": "t_maze", "length": 0}"#, "length"),
            (r#"{"name": "t_maze", "speed": 0.2}"#, "speed"),
            (r#"{"name": "windy_room", "wind_period_steps": 0}"#, "wind_period_steps"),
            (r#"{"name": "pvs", "time_constant_mean_s": 0, "sine_rad": 0}"#, "setpoints"),
            (r#"{"name": "quadruple_tank", "gammas": [0.7, 1.1]}"#, "gammas"),
        ] {
            let refused = refused(text);
            assert!(refused.contains(&format!("`{option}` is ")), "{refused}");
        }
        let mut environment = Environment::named("saturation").unwrap();
        environment.disturbances.bias_spans = f64::NAN;
        assert!(environment.build(1).is_err());
    }
}
