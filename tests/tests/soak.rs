//! What must not happen once in very many times. Here as often as every test run can afford; `cargo xtask soak` raises the
//! counts to those of the catalogue of faults.

use std::sync::mpsc;
use std::thread;

use policy::PolicySpec;
use policy::kernels::{Activation, Kernel, LayerSpec, NetSpec};
use policy::wire::{Publication, Verifier, encode, slot_words};
use rt_core::time::Span;
use shm::{Segment, Spec, triple};
use tests::simulation::{Dice, Scenario};
use tests::soak;

/// Words of a value that is read while it is written: each is the value's number times an odd number of its own.
const WORDS: usize = 64;

fn pattern(number: u64) -> [u64; WORDS] {
    std::array::from_fn(|index| number.wrapping_mul(2 * index as u64 + 1))
}

#[test]
fn f03_no_read_is_torn_or_older_while_the_writer_never_pauses() {
    let reads = soak::count(1_000_000);
    let segment = Segment::create(&Spec::weights(WORDS)).unwrap();
    let mut writer = triple::Writer::new(&segment).unwrap();
    let mut reader = triple::Reader::new(&segment).unwrap();
    let (over, is_over) = mpsc::channel::<()>();
    let writing = thread::spawn(move || {
        let mut number = 0;
        // Looking whether it is over takes longer than a value does.
        while matches!(is_over.try_recv(), Err(mpsc::TryRecvError::Empty)) {
            for _ in 0..100 {
                number += 1;
                writer.publish(&pattern(number)).unwrap();
            }
        }
        number
    });
    let (mut done, mut fresh, mut last) = (0, 0, 0);
    // On a CPU that both share, a new value takes a while to come.
    while done < reads || fresh < 2 {
        fresh += u64::from(reader.update().unwrap());
        let mut value = [0; WORDS];
        reader.copy_into(0, &mut value).unwrap();
        assert_eq!(value, pattern(value[0]), "torn at read {done}");
        assert!(value[0] >= last, "{} after {last}", value[0]);
        (last, done) = (value[0], done + 1);
    }
    drop(over);
    let published = writing.join().unwrap();
    assert!(fresh <= published);
    println!("{done} reads, {fresh} of them fresh, of {published} values");
}

#[test]
fn f06_no_flipped_bit_in_published_weights_is_believed() {
    let layers = vec![LayerSpec::new(8, 16, Activation::Crelu), LayerSpec::new(32, 4, Activation::Linear)];
    let spec = PolicySpec::from(NetSpec { layers });
    let publication = Publication { epoch: 1, generation: 1, updates: 1, tag_list_hash: 7, nominal: false };
    let mut dice = Dice::new(soak::seed(), "flips");
    let parameters: Vec<f32> = (0..spec.parameters()).map(|_| (dice.draw() >> 40) as f32 / 1e8).collect();
    let mut words = vec![0; slot_words(&spec).unwrap()];
    encode(&spec, &publication, &parameters, &mut words).unwrap();
    let mut verifier = Verifier::new(&spec, 7, Kernel::best()).unwrap();
    verifier.grant(1);
    for _ in 0..soak::count(100_000) {
        let flips: Vec<_> = (0..=dice.below(4)).map(|_| dice.draw()).collect();
        let flip = |words: &mut Vec<u64>| {
            let len = words.len() as u64;
            flips.iter().for_each(|flip| words[((flip >> 6) % len) as usize] ^= 1 << (flip % 64));
        };
        let before = words.clone();
        flip(&mut words);
        if words != before {
            assert!(verifier.verify(&words).is_err(), "flips {flips:x?} were believed");
        }
        flip(&mut words);
    }
    assert_eq!(verifier.verify(&words).map(|weights| weights.generation()), Ok(1));
}

#[test]
fn f31_no_switch_between_modes_or_to_and_from_a_person_makes_a_bump() {
    let switches = soak::count(500);
    // In every scenario an oracle holds each telegram against range, rate and the time that has passed: at a switch, too.
    let (mut seen, mut seed) = (0, soak::seed().wrapping_mul(1_000_000));
    while seen < switches {
        seed += 1;
        let scenario = Scenario { seed, period: Span::from_ms(100), slots: 3_000 };
        let passed = scenario.run(None).unwrap_or_else(|failed| panic!("seed {seed}: {failed:#?}"));
        seen += passed.transitions;
    }
    println!("{seen} switches in {} scenarios", seed - soak::seed().wrapping_mul(1_000_000));
}
