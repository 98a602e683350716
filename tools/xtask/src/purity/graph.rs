//! Who calls whom in a released program, read from its machine code by objdump; and what can be reached from one function.
//!
//! It covers all calls: to a known address, through a word that the dynamic linker alone fills, and through a register that
//! was loaded from such a word shortly before. A function whose address is taken counts as called. Any other call through a
//! pointer, such as a hook in static memory, is not followed, and therefore counts as an offence itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use super::registers::{Pointers, Reading};

/// Of the C library: copies, comparisons, and the clock that is read in the vDSO. None of them waits or asks the kernel.
const HARMLESS: &[&str] = &["memcpy", "memmove", "memset", "memcmp", "bcmp", "clock_gettime"];

/// What must not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A panic.
    Panic,
    /// The allocator.
    Allocation,
    /// The kernel, by an instruction of our own.
    SystemCall,
    /// A function of the C library that may do anything.
    Foreign,
    /// A call through a pointer that cannot be followed.
    Pointer,
}

/// One thing that is reached and must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offence {
    pub(super) kind: Kind,
    /// What it is, and the way there, nearest function first.
    pub(super) way: String,
}

/// What can be reached from a function.
#[derive(Debug)]
pub(super) struct Reach {
    /// How many functions, the first one included.
    pub(super) functions: usize,
    pub(super) offences: Vec<Offence>,
    /// Every function of the C library that is called.
    pub(super) foreign: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Function {
    name: String,
    calls: BTreeSet<u64>,
    foreign: BTreeSet<String>,
    offences: Vec<(Kind, String)>,
}

/// The functions of a program by their addresses.
#[derive(Debug)]
pub(super) struct Graph(BTreeMap<u64, Function>);

/// What the dynamic linker puts into a word.
enum Slot {
    Own(u64),
    Foreign(String),
}

impl Graph {
    /// Reads a program.
    pub(super) fn of(program: &Path) -> Result<Self, String> {
        let relocations = objdump(program, &["-R"])?;
        let sections = objdump(program, &["-h"])?;
        let code = objdump(program, &["-d", "--no-show-raw-insn"])?;
        Ok(Self::parse(&relocations, &sections, &code))
    }

    fn parse(relocations: &str, sections: &str, code: &str) -> Self {
        // What the linker puts there is what a call finds only where nobody may write afterwards.
        let written = sections.lines().find_map(written_section).unwrap_or_default();
        let slots = relocations.lines().filter_map(slot).filter(|(word, _)| !written.contains(word)).collect();
        let mut functions: BTreeMap<u64, Function> =
            code.lines().filter_map(heading).map(|(at, name)| (at, Function { name, ..Function::default() })).collect();
        let starts: BTreeSet<u64> = functions.keys().copied().collect();
        let (mut current, mut pointers) = (None, Pointers::default());
        for line in code.lines() {
            if let Some((at, _)) = heading(line) {
                (current, pointers) = (functions.get_mut(&at).map(|function| (at, function)), Pointers::default());
            } else if let (Some((at, function)), Some(reading)) = (&mut current, pointers.read(line)) {
                function.take(*at, reading, &slots, &starts);
            }
        }
        Self(functions)
    }

    /// The address of the function of this name.
    fn find(&self, name: &str) -> Result<u64, String> {
        let plain = |function: &Function| function.name.replace(['<', '>'], "");
        let found = self.0.iter().find(|(_, function)| plain(function) == name).map(|(at, _)| *at);
        found.ok_or_else(|| format!("the program holds no function `{name}`"))
    }

    /// Whether one function calls another.
    pub(super) fn calls(&self, from: &str, to: &str) -> Result<bool, String> {
        let (from, to) = (self.find(from)?, self.find(to)?);
        Ok(self.0.get(&from).is_some_and(|function| function.calls.contains(&to)))
    }

    /// Everything that can be reached from the function of this name.
    pub(super) fn reach(&self, name: &str) -> Result<Reach, String> {
        let root = self.find(name)?;
        let (mut came_from, mut waiting) = (BTreeMap::from([(root, root)]), VecDeque::from([root]));
        let mut reach = Reach { functions: 0, offences: Vec::new(), foreign: BTreeSet::new() };
        while let Some(at) = waiting.pop_front() {
            let Some(function) = self.0.get(&at) else { continue };
            reach.functions += 1;
            let mut blame = |kind, what: &str| {
                let way =
                    std::iter::once(what.to_owned()).chain(self.way(&came_from, at)).collect::<Vec<_>>().join(" <- ");
                reach.offences.push(Offence { kind, way });
            };
            if let Some(kind) = forbidden(&function.name) {
                // What a panic does in turn is of no interest.
                blame(kind, "reached");
                continue;
            }
            function.offences.iter().for_each(|(kind, what)| blame(*kind, what));
            reach.foreign.extend(function.foreign.iter().cloned());
            for call in &function.calls {
                came_from.entry(*call).or_insert_with(|| {
                    waiting.push_back(*call);
                    at
                });
            }
        }
        Ok(reach)
    }

    fn way<'a>(&'a self, came_from: &'a BTreeMap<u64, u64>, from: u64) -> impl Iterator<Item = String> + 'a {
        let before = move |at: &u64| came_from.get(at).copied().filter(|before| before != at);
        let steps = std::iter::successors(Some(from), before);
        steps.filter_map(|at| self.0.get(&at)).map(|function| function.name.clone())
    }
}

impl Function {
    fn take(&mut self, own: u64, reading: Reading<'_>, slots: &BTreeMap<u64, Slot>, starts: &BTreeSet<u64>) {
        match reading {
            Reading::CallsThrough(word) if !is_followed(slots.get(&word), starts) => {
                self.offences.push((Kind::Pointer, format!("a call through the pointer at {word:#x}")));
            }
            Reading::Calls(target) => {
                let target = starts.range(..=target).next_back().copied();
                self.calls.extend(target.filter(|target| *target != own));
            }
            Reading::Refers(word) | Reading::CallsThrough(word) => match slots.get(&word) {
                Some(Slot::Own(target)) => self.calls.extend(starts.get(target)),
                Some(Slot::Foreign(name)) => self.call_foreign(name),
                // The address of a function that is taken.
                None => self.calls.extend(starts.get(&word)),
            },
            Reading::AsksKernel => self.offences.push((Kind::SystemCall, "a system call".to_owned())),
            Reading::Unknown(instruction) => {
                self.offences.push((Kind::Pointer, format!("a call through a pointer, `{instruction}`")));
            }
        }
    }

    fn call_foreign(&mut self, symbol: &str) {
        let name = symbol.split('@').next().unwrap_or(symbol);
        if self.foreign.insert(name.to_owned()) && !HARMLESS.contains(&name) {
            self.offences.push((Kind::Foreign, format!("`{name}` of a library")));
        }
    }
}

/// Whether a call through a word goes where the linker says: to a function of ours, or of a library.
fn is_followed(slot: Option<&Slot>, starts: &BTreeSet<u64>) -> bool {
    match slot {
        Some(Slot::Own(target)) => starts.contains(target),
        Some(Slot::Foreign(_)) => true,
        None => false,
    }
}

fn forbidden(name: &str) -> Option<Kind> {
    const PANICS: &[&str] = &["core::panicking::", "std::panicking::", "rust_begin_unwind"];
    const ALLOCATOR: &[&str] = &["__rust_alloc", "__rust_dealloc", "__rust_realloc"];
    let holds = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    match () {
        () if holds(PANICS) => Some(Kind::Panic),
        () if holds(ALLOCATOR) => Some(Kind::Allocation),
        () => None,
    }
}

/// `0000000000163630 <rt_daemon::control::ControlLoop::work>:`
fn heading(line: &str) -> Option<(u64, String)> {
    let (address, rest) = line.split_once(" <")?;
    let name = rest.strip_suffix(">:")?;
    Some((u64::from_str_radix(address, 16).ok()?, name.to_owned()))
}

/// Where the variables are that begin with a value, in ` 24 .data         00000d50  0000000000503030  …`: size and address.
fn written_section(line: &str) -> Option<Range<u64>> {
    let (_, place) = line.split_once(" .data ")?;
    let mut numbers = place.split_whitespace().map(|number| u64::from_str_radix(number, 16));
    let (size, at) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(at..at + size)
}

/// `00000000004a40f0 R_X86_64_RELATIVE  *ABS*+0x0000000000161bd0`, or the symbol of a library instead.
fn slot(line: &str) -> Option<(u64, Slot)> {
    let mut words = line.split_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    words.next().filter(|kind| kind.starts_with("R_X86_64"))?;
    let value = words.next()?;
    let slot = match value.strip_prefix("*ABS*+0x") {
        Some(target) => Slot::Own(u64::from_str_radix(target, 16).ok()?),
        None => Slot::Foreign(value.to_owned()),
    };
    Some((address, slot))
}

fn objdump(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("objdump")
        .arg("--demangle")
        .args(arguments)
        .arg(program)
        .output()
        .map_err(|error| format!("objdump cannot be run: {error} (Debian: binutils)"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("objdump: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELOCATIONS: &str = "\
0000000000004000 R_X86_64_RELATIVE  *ABS*+0x0000000000002000
0000000000004008 R_X86_64_GLOB_DAT  memcpy@GLIBC_2.14
0000000000004010 R_X86_64_GLOB_DAT  write@GLIBC_2.2.5
0000000000006000 R_X86_64_RELATIVE  *ABS*+0x0000000000001100
";

    const SECTIONS: &str = " 23 .got          00000018  0000000000004000  0000000000004000  00004000  2**3
 24 .data         00000010  0000000000006000  0000000000006000  00006000  2**3
";

    const QUIET: &str = "\
0000000000001000 <<a::Loop>::work>:
    1000:\tpush   %rbp
    1001:\tcall   1100 <a::step>
    1006:\tjne    1001 <<a::Loop>::work+0x1>
    1008:\tret

0000000000001100 <a::step>:
    1100:\tcall   *0x2f00(%rip)        # 4008 <memcpy@GLIBC_2.14>
    1106:\tret

0000000000002000 <core::panicking::panic_fmt>:
    2000:\tcall   2100 <a::beyond>

0000000000002100 <a::beyond>:
    2100:\tsyscall
";

    fn offences(code: &str) -> Vec<(Kind, String)> {
        let reach = Graph::parse(RELOCATIONS, SECTIONS, code).reach("a::Loop::work").unwrap();
        reach.offences.into_iter().map(|offence| (offence.kind, offence.way)).collect()
    }

    /// The quiet code with another instruction in the function that is called.
    fn with(instruction: &str) -> Vec<(Kind, String)> {
        offences(&QUIET.replace("    1106:\tret", &format!("    1106:\t{instruction}")))
    }

    #[test]
    fn what_only_copies_is_quiet_and_its_functions_are_counted() {
        let reach = Graph::parse(RELOCATIONS, SECTIONS, QUIET).reach("a::Loop::work").unwrap();
        assert_eq!((reach.functions, reach.offences.len()), (2, 0));
        assert_eq!(reach.foreign, BTreeSet::from(["memcpy".to_owned()]));
    }

    #[test]
    fn a_panic_is_found_with_the_way_to_it_and_not_followed() {
        for instruction in
            ["call   2000 <x>", "call   *0x2ef4(%rip)        # 4000 <x>", "lea    0xef4(%rip),%rax        # 2000 <x>"]
        {
            let way = "reached <- core::panicking::panic_fmt <- a::step <- <a::Loop>::work";
            assert_eq!(with(instruction), [(Kind::Panic, way.to_owned())], "{instruction}");
        }
    }

    #[test]
    fn the_kernel_the_c_library_and_pointers_are_found() {
        for (instruction, kind) in [
            ("syscall", Kind::SystemCall),
            ("call   *0x2ef4(%rip)        # 4010 <write@GLIBC_2.2.5>", Kind::Foreign),
            ("call   *0x28(%rbx)", Kind::Pointer),
            ("call   2100 <a::beyond>", Kind::SystemCall),
        ] {
            let found = with(instruction);
            assert!(found.len() == 1 && found[0].0 == kind, "{instruction}: {found:?}");
        }
    }

    #[test]
    fn a_call_through_a_word_that_no_linker_fills_is_found_and_a_use_of_it_is_none() {
        let (load, way) = ("mov    0x3ef4(%rip),%rax        # 5000 <a::HOOK>", "a call through the pointer at 0x5000");
        let found = [(Kind::Pointer, format!("{way} <- a::step <- <a::Loop>::work"))];
        assert_eq!(with("call   *0x3ef4(%rip)        # 5000 <a::HOOK>"), found);
        assert_eq!(with("jmp    *0x3ef4(%rip)        # 5000 <a::HOOK>"), found);
        assert_eq!(with(&format!("{load}\n    110d:\tcall   *%rax")), found);
        assert_eq!(with(load), []);
    }

    #[test]
    fn a_call_through_a_word_that_is_written_later_is_found_whatever_the_linker_puts_there() {
        let way = "a call through the pointer at 0x6000 <- a::step <- <a::Loop>::work";
        assert_eq!(with("call   *0x4ef4(%rip)        # 6000 <a::HOOK>"), [(Kind::Pointer, way.to_owned())]);
    }

    #[test]
    fn the_allocator_is_found_by_its_name() {
        let code = QUIET.replace("core::panicking::panic_fmt", "__rustc::__rust_alloc_zeroed");
        let found = offences(&code.replace("    1106:\tret", "    1106:\tjmp    2000 <x>"));
        assert!(found.len() == 1 && found[0].0 == Kind::Allocation, "{found:?}");
    }

    #[test]
    fn a_function_that_is_not_there_is_an_error_and_not_a_proof() {
        let message = Graph::parse(RELOCATIONS, SECTIONS, QUIET).reach("a::Loop::run").unwrap_err();
        assert!(message.contains("a::Loop::run"));
    }
}
