//! What the Rust language asks of the crate at the bottom: an allocator and a panic handler.

use core::panic::PanicInfo;
use services::memory::heap::Heap;

#[global_allocator]
static HEAP: Heap = Heap::new();

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    services::crash::panicked(info)
}
