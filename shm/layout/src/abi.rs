//! The two macros that declare the ABI, and the hash over their text.

/// Start value of the 64-bit FNV-1a hash.
pub(crate) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a. Each step is a bijection of the state, so a change of one byte always changes the hash.
pub(crate) const fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(FNV_PRIME);
        i += 1;
    }
    hash
}

/// [`fnv`] over numbers.
pub(crate) const fn fnv_u64s(mut hash: u64, numbers: &[u64]) -> u64 {
    let mut i = 0;
    while i < numbers.len() {
        hash = fnv(hash, &numbers[i].to_le_bytes());
        i += 1;
    }
    hash
}

/// Declares a structure of the ABI with its size in bytes, and a description that is hashed.
macro_rules! abi_struct {
    (
        $(#[$meta:meta])*
        pub struct $name:ident: $bytes:literal {
            $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)+
        }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(
            Clone, Copy, Debug, PartialEq,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout,
        )]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)+
        }

        impl $name {
            /// The structure as text: what [`LAYOUT_HASH`](crate::LAYOUT_HASH) is computed from.
            pub const DESCRIPTION: &'static str = concat!(
                stringify!($name), ":", $bytes, "{",
                $(stringify!($field), ":", stringify!($type), ";",)+ "}"
            );
        }

        const _: () = assert!(
            core::mem::size_of::<$name>() == $bytes,
            concat!("the size of ", stringify!($name), " is part of the ABI")
        );
        const _: () = assert!(
            core::mem::align_of::<$name>() <= 8 && core::mem::size_of::<$name>() % 8 == 0,
            concat!(stringify!($name), " is stored in whole 64-bit words")
        );
    };
}

/// Declares an enumeration of the ABI: its codes count from 0 in the order of the table.
macro_rules! abi_table {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $repr:ident {
            $($(#[doc = $doc:literal])+ $variant:ident => $text:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[repr($repr)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// Every entry, in the order of its code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// The number of entries; every code is smaller.
            pub const COUNT: usize = Self::ALL.len();
            /// The table as text: what [`LAYOUT_HASH`](crate::LAYOUT_HASH) is computed from.
            pub const DESCRIPTION: &'static str =
                concat!(stringify!($name), ":", stringify!($repr), "{", $($text, ";",)+ "}");

            /// The number that stands for the entry in shared memory.
            pub const fn code(self) -> $repr {
                self as $repr
            }

            /// The entry with this code, if there is one.
            pub fn from_code(code: $repr) -> Option<Self> {
                Self::ALL.get(usize::try_from(code).ok()?).copied()
            }

            /// The name as users meet it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// What it means, with its unit.
            pub const fn doc(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+).trim_ascii_start(),)+
                }
            }

            /// The entry with this name, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|entry| entry.name() == name)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}
