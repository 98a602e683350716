//! CPUs that do not sleep deeply.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};

/// Where the kernel takes a bound on the time that a CPU may need to wake up.
const CPU_DMA_LATENCY: &str = "/dev/cpu_dma_latency";

/// No CPU enters a sleep state that takes time to leave, as long as this lives. It costs power, and it is what a thread pays
/// for being woken in time.
#[derive(Debug)]
pub struct CpusAwake(#[expect(dead_code, reason = "the kernel's request ends when the file is closed")] File);

impl CpusAwake {
    /// Asks the kernel.
    ///
    /// # Errors
    /// The device does not exist in this kernel or container, or the process may not write it.
    pub fn hold() -> io::Result<Self> {
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{CPU_DMA_LATENCY}: {error}"));
        let mut file = OpenOptions::new().write(true).open(CPU_DMA_LATENCY).map_err(told)?;
        file.write_all(&0_i32.to_ne_bytes()).map_err(told)?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_held_or_the_reason_names_the_device() {
        match CpusAwake::hold() {
            Ok(awake) => assert!(format!("{awake:?}").contains(CPU_DMA_LATENCY)),
            Err(error) => assert!(error.to_string().starts_with(CPU_DMA_LATENCY)),
        }
    }
}
