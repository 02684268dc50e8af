//! Printing to the console, as in std.

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::io::print(::core::format_args!($($argument)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::io::print_line(::core::format_args!($($argument)*)) };
}

/// Prints to the console, which is standard error, too.
#[macro_export]
macro_rules! eprint {
    ($($argument:tt)*) => { $crate::print!($($argument)*) };
}

/// Prints a line to the console, which is standard error, too.
#[macro_export]
macro_rules! eprintln {
    ($($argument:tt)*) => { $crate::println!($($argument)*) };
}
