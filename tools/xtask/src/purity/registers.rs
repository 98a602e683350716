//! One instruction of x86-64 after the other, as objdump prints them: whom it calls, and what the registers hold that a call
//! may go through.

use std::collections::BTreeMap;

/// Registers that a function may leave changed, by the calling convention.
const CLOBBERED: &[&str] = &["ax", "cx", "dx", "si", "di", "8", "9", "10", "11"];

/// Beginnings of the names of instructions that change these two without naming them.
const CHANGE_AX_AND_DX: &[&str] =
    &["mul", "imul", "div", "idiv", "cltq", "cltd", "cwtl", "cqto", "cmpxchg", "rdtsc", "cpuid", "xgetbv"];
/// Instructions that change both of their operands.
const CHANGE_BOTH: &[&str] = &["xchg", "xadd"];

/// What one instruction says about calls.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading<'a> {
    /// It goes to this address.
    Calls(u64),
    /// It uses the word at this address, or the address itself.
    Refers(u64),
    /// It calls through the pointer in the word at this address.
    CallsThrough(u64),
    /// It asks the kernel.
    AsksKernel,
    /// It calls through a pointer of unknown origin.
    Unknown(&'a str),
}

/// Where the pointers in the registers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The word at this address.
    Word(u64),
    /// An offset was added to the address of a table: a `match` goes on from there, inside its function.
    Table,
}

/// The registers, as far as a call may go through them.
#[derive(Debug, Default)]
pub(super) struct Pointers(BTreeMap<String, Origin>);

impl Pointers {
    /// Takes note of one line of a listing; what it says about calls, if anything.
    pub(super) fn read<'a>(&mut self, line: &'a str) -> Option<Reading<'a>> {
        let (address, text) = line.split_once(":\t")?;
        address.trim().bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
        let text = without_prefixes(text.trim());
        let (name, operands) = text.split_once(' ').map_or((text, ""), |(name, operands)| (name, operands.trim()));
        let word = operands.split_once("# ").and_then(|(_, word)| hexadecimal(word));
        let reading = match name {
            "syscall" | "sysenter" => Some(Reading::AsksKernel),
            "call" | "jmp" => match (operands.strip_prefix('*'), word) {
                (None, _) => hexadecimal(operands).map(Reading::Calls),
                (Some(_), Some(word)) => Some(Reading::CallsThrough(word)),
                (Some(pointer), None) => self.through(name, pointer, text),
            },
            _ if word.is_some() => word.map(Reading::Refers),
            _ if name.starts_with('j') => hexadecimal(operands).map(Reading::Calls),
            _ => None,
        };
        self.follow(name, operands, word);
        reading
    }

    /// What it is to call or to jump through a register, by what the register holds.
    fn through<'a>(&self, name: &str, pointer: &str, text: &'a str) -> Option<Reading<'a>> {
        match register(pointer).and_then(|register| self.0.get(register)) {
            Some(Origin::Word(word)) => Some(Reading::CallsThrough(*word)),
            Some(Origin::Table) if name == "jmp" => None,
            Some(Origin::Table) | None => Some(Reading::Unknown(text)),
        }
    }

    /// The last operand is what an instruction changes, the only one included.
    fn follow(&mut self, name: &str, operands: &str, word: Option<u64>) {
        if name == "call" {
            self.forget(CLOBBERED);
            return;
        }
        if CHANGE_AX_AND_DX.iter().any(|begin| name.starts_with(begin)) {
            self.forget(&["ax", "dx"]);
        }
        let operands = operands.split("  ").next().unwrap_or(operands);
        let (from, to) = operands.rsplit_once(',').unwrap_or(("", operands));
        if CHANGE_BOTH.contains(&name) {
            register(from).into_iter().for_each(|from| self.forget(&[from]));
        }
        let Some(to) = register(to) else { return };
        let origin = match name {
            "mov" if word.is_some() => word.map(Origin::Word),
            "mov" => register(from).and_then(|from| self.0.get(from).copied()),
            "add" => Some(Origin::Table),
            // These change nothing but the flags, or the stack.
            "cmp" | "test" | "cmpq" | "testq" | "push" => return,
            _ => None,
        };
        match origin {
            Some(origin) => _ = self.0.insert(to.to_owned(), origin),
            None => self.forget(&[to]),
        }
    }

    fn forget(&mut self, registers: &[&str]) {
        registers.iter().for_each(|register| _ = self.0.remove(*register));
    }
}

fn without_prefixes(text: &str) -> &str {
    const PREFIXES: &[&str] =
        &["bnd ", "notrack ", "lock ", "rep ", "repz ", "repnz ", "addr32 ", "data16 ", "cs ", "ds "];
    match PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        Some(rest) => without_prefixes(rest.trim_start()),
        None => text,
    }
}

/// The number at the beginning, as in `163630 <name>`.
fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.split_whitespace().next()?, 16).ok()
}

/// `%rax`, `%eax`, `%ax` and `%al` are one register: `ax`; `%r9d` is `9`. Anything else, such as `0x8(%rax)`, is none.
fn register(operand: &str) -> Option<&str> {
    let name = operand.strip_prefix('%')?;
    let name = name.strip_prefix(['r', 'e']).unwrap_or(name);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(name.trim_end_matches(['d', 'w', 'b']));
    }
    Some(match name {
        "al" | "ah" => "ax",
        "bl" | "bh" => "bx",
        "cl" | "ch" => "cx",
        "dl" | "dh" => "dx",
        "sil" => "si",
        "dil" => "di",
        "bpl" => "bp",
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last<'a>(lines: &[&'a str]) -> Option<Reading<'a>> {
        let mut pointers = Pointers::default();
        lines.iter().map(|line| pointers.read(line)).last().flatten()
    }

    #[test]
    fn calls_and_jumps_to_an_address_are_read_with_and_without_a_prefix() {
        assert_eq!(last(&["  10:\tcall   163630 <a::b>"]), Some(Reading::Calls(0x163630)));
        assert_eq!(last(&["  10:\tbnd jmp 20 <a>"]), Some(Reading::Calls(0x20)));
        assert_eq!(last(&["  10:\tjne    30 <a+0x3>"]), Some(Reading::Calls(0x30)));
        assert_eq!(last(&["  10:\tmov    %rsp,%rbp"]), None);
        assert_eq!(last(&["Disassembly of section .text:"]), None);
    }

    #[test]
    fn a_call_through_a_register_is_known_by_where_it_was_loaded_from() {
        let load = "  10:\tmov    0x3291(%rip),%rax        # 4a4a70 <x>";
        assert_eq!(last(&[load]), Some(Reading::Refers(0x4a4a70)));
        let through = Some(Reading::CallsThrough(0x4a4a70));
        assert_eq!(last(&[load, "  17:\tcall   *%rax"]), through);
        assert_eq!(last(&[load, "  17:\tjmp    *%rax"]), through);
        assert_eq!(last(&[load, "  17:\tmov    %rax,%rbp", "  18:\tcall   *%rbp"]), through);
        assert_eq!(last(&[load, "  17:\tpush   %rax", "  18:\tcall   *%rax"]), through, "a push changes nothing");
    }

    #[test]
    fn a_call_through_a_word_is_more_than_a_use_of_it() {
        for name in ["call  ", "jmp   ", "bnd jmp"] {
            let line = format!("  10:\t{name} *0x2f00(%rip)        # 4008 <x>");
            assert_eq!(last(&[&line]), Some(Reading::CallsThrough(0x4008)), "{name}");
        }
        assert_eq!(last(&["  10:\tpush   0x2f00(%rip)        # 4008 <x>"]), Some(Reading::Refers(0x4008)));
    }

    #[test]
    fn a_pointer_that_was_overwritten_or_lost_in_a_call_is_unknown() {
        let load = "  10:\tmov    0x3291(%rip),%r9        # 4a4a70 <x>";
        let unknown = Some(Reading::Unknown("call   *%r9"));
        let call = "  30:\tcall   *%r9";
        assert_eq!(last(&[load, call]), Some(Reading::CallsThrough(0x4a4a70)));
        for between in [
            "mov    0x8(%rdi),%r9",
            "xor    %r9d,%r9d",
            "call   20 <x>",
            "pop    %r9",
            "not    %r9",
            "sete   %r9b",
            "xchg   %r9,%rbx",
            "xchg   %rbx,%r9",
            "xchg   %r9,0x8(%rdi)",
            "lock xadd %r9,(%rdi)",
        ] {
            assert_eq!(last(&[load, &format!("  20:\t{between}"), call]), unknown, "{between}");
        }
        assert_eq!(last(&[call]), unknown);
        assert_eq!(last(&["  30:\tcall   *0x28(%rbx)"]), Some(Reading::Unknown("call   *0x28(%rbx)")));
    }

    #[test]
    fn registers_that_change_without_being_named_are_unknown() {
        let load = "  10:\tmov    0x3291(%rip),%rax        # 4a4a70 <x>";
        for between in ["mul    %rcx", "idiv   %r8", "cltq", "lock cmpxchg %rcx,(%rdi)", "rdtsc"] {
            let between = format!("  20:\t{between}");
            assert_eq!(
                last(&[load, &between, "  30:\tcall   *%rax"]),
                Some(Reading::Unknown("call   *%rax")),
                "{between}"
            );
        }
    }

    #[test]
    fn a_match_jumps_through_a_table_and_nothing_calls_through_one() {
        let table = ["  10:\tmovslq (%rcx,%rax,4),%rax", "  14:\tadd    %rcx,%rax"];
        assert_eq!(last(&[table[0], table[1], "  17:\tjmp    *%rax"]), None);
        assert_eq!(last(&[table[0], table[1], "  17:\tcall   *%rax"]), Some(Reading::Unknown("call   *%rax")));
        assert_eq!(last(&["  17:\tjmp    *%rax"]), Some(Reading::Unknown("jmp    *%rax")));
    }

    #[test]
    fn the_kernel_is_asked_by_one_instruction() {
        assert_eq!(last(&["  10:\tsyscall"]), Some(Reading::AsksKernel));
    }
}
