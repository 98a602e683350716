//! The C library open62541, through the crate that carries its sources, and programs of scripts in C that use it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::{Prepared, output, place, release_build, run, scripts};

/// The package whose build script builds the library.
const PACKAGE: &str = "open62541-sys";

/// In the order in which the linker wants them.
const LIBRARIES: &[&str] =
    &["-lopen62541", "-lmbedtls", "-lmbedx509", "-lmbedcrypto", "-leverest", "-lp256m", "-lm", "-pthread"];

/// Where Linux distributions put libclang; bindgen looks there, too.
const LIBCLANG_PLACES: &[&str] = &["/usr/lib", "/usr/lib64", "/usr/local/lib"];

/// The library, built.
#[derive(Debug)]
pub(crate) struct Library {
    /// Has `include` and `lib`.
    installed: PathBuf,
    /// Where programs go.
    place: PathBuf,
}

/// A line of cargo's messages, as far as it is needed here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: String,
    out_dir: Option<PathBuf>,
}

impl Library {
    /// Builds it, which takes a minute and a half the first time.
    pub(crate) fn prepare() -> Result<Prepared<Self>, String> {
        let place = place("open62541")?;
        if let Err(why) = run(Command::new("cmake").arg("--version"), "the library needs cmake (Debian: cmake)") {
            return Ok(Prepared::Absent(why));
        }
        if std::env::var_os("LIBCLANG_PATH").is_none() && !LIBCLANG_PLACES.iter().any(|place| has_libclang(place)) {
            return Ok(Prepared::Absent("its crate needs libclang (Debian: libclang-dev)".to_owned()));
        }
        if !place.join("release").exists() {
            eprintln!("building open62541");
        }
        let mut build = release_build("open62541", &place);
        let built = match output(&mut build, "the C library cannot be built") {
            Ok(built) => String::from_utf8_lossy(&built.stdout).into_owned(),
            Err(why) => return Ok(Prepared::Absent(why)),
        };
        let installed = out_dir(&built).ok_or("cargo does not say where it has built open62541")?;
        Ok(Prepared::There(Self { installed, place }))
    }

    /// Compiles a program of scripts; where it is.
    pub(crate) fn compile(&self, name: &str) -> Result<PathBuf, String> {
        let program = self.place.join(name);
        let mut compiler = Command::new("cc");
        compiler.args(["-std=gnu11", "-O2", "-o"]).arg(&program).arg(scripts("open62541").join(format!("{name}.c")));
        compiler.arg("-I").arg(self.installed.join("include")).arg("-L").arg(self.installed.join("lib"));
        run(compiler.args(LIBRARIES), &format!("{name}.c cannot be compiled"))?;
        Ok(program)
    }
}

/// Where the build script has left what it built.
fn out_dir(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let mut of_script = messages.filter(|m| m.reason == "build-script-executed" && m.package_id.contains(PACKAGE));
    of_script.next()?.out_dir
}

/// In this directory, or one below it.
fn has_libclang(directory: &str) -> bool {
    let names = |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_it = |path: PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        (name.starts_with("libclang.so") || name.starts_with("libclang-")) && name.contains(".so")
    };
    names(Path::new(directory))
        .any(|path| is_it(path.clone()) || names(&path).chain(names(&path.join("lib"))).any(is_it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_where_its_build_script_says() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","package_id":"registry+https://…#open62541-sys@0.6.6"}"#,
            "\nnoise\n",
            r#"{"reason":"build-script-executed","package_id":"registry+https://…#libc@0.2.0","out_dir":"/a"}"#,
            "\n",
            r#"{"reason":"build-script-executed","package_id":"registry+https://…#open62541-sys@0.6.6","out_dir":"/b"}"#,
        );
        assert_eq!(out_dir(messages), Some(PathBuf::from("/b")));
        assert_eq!(out_dir("noise"), None);
    }

    #[test]
    fn libclang_is_found_beside_the_other_libraries_and_below_them() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().to_str().unwrap();
        fs::write(place.path().join("libclang-cpp.h"), "").unwrap();
        assert!(!has_libclang(directory));
        fs::create_dir_all(place.path().join("llvm-14/lib")).unwrap();
        fs::write(place.path().join("llvm-14/lib/libclang-14.so.1"), "").unwrap();
        assert!(has_libclang(directory));
    }
}
