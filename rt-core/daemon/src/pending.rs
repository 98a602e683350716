//! Servers that nobody has decided about: their certificates are kept until somebody does.

use std::io;
use std::path::Path;

/// Keeps a certificate where `corerl io trust` finds it, and adds to the complaint how to decide.
pub fn keep_pending(complaint: &str, thumbprint: &str, der: &[u8], trust_dir: &Path) -> String {
    match store(trust_dir, thumbprint, der) {
        Ok(()) => format!(
            "{complaint}. If the thumbprint is the server's, trust it with: corerl io trust add {thumbprint} --trust-dir {}",
            trust_dir.display()
        ),
        Err(error) => format!("{complaint}. It could not be stored in {}: {error}", trust_dir.display()),
    }
}

fn store(trust_dir: &Path, thumbprint: &str, der: &[u8]) -> io::Result<()> {
    let pending = trust_dir.join("pending");
    std::fs::create_dir_all(&pending)?;
    let path = pending.join(format!("{thumbprint}.der"));
    if path.exists() { Ok(()) } else { std::fs::write(path, der) }
}
