//! A site without any optional stage gives the bits that it always gave.

use rt_core::tag::Quality;

use crate::pipeline::Pipeline;
use crate::testing::{DOSE_SP, LEVEL, Plant, QUALITY, site};

/// FNV-1a.
fn add(hash: u64, word: u64) -> u64 {
    word.to_le_bytes().iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn the_bits_of_a_plain_site_are_those_of_before() {
    let site = site();
    let (mut pipeline, mut plant) = (Pipeline::new(&site).unwrap(), Plant::of(&site));
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for step in 0..400_u32 {
        let wave = |every: u32| f64::from(step * 37 % every) / f64::from(every);
        plant.read(0.5 * wave(101), 0.5 * wave(89), 1.2 * wave(97), wave(83));
        let gone = [LEVEL, QUALITY, DOSE_SP].into_iter().zip([11, 17, 29]).filter(|(_, every)| step % every == 0);
        gone.for_each(|(index, _)| plant.set_with(index, 0.0, Quality::Bad));
        pipeline.observe(&plant.image, &plant.moment());
        let (lo, hi) = pipeline.bounds();
        let floats = pipeline.state().iter().chain(pipeline.action()).chain(lo).chain(hi);
        hash = floats.fold(hash, |hash, x| add(hash, u64::from(x.to_bits())));
        hash = add(hash, pipeline.reward().map_or(1, f64::to_bits));
        hash = add(hash, u64::from(pipeline.complete()) + 2 * u64::from(pipeline.action_read_back()));
    }
    assert_eq!(hash, 0x92bc_b268_fdf1_7cb7, "{hash:#x}");
}
