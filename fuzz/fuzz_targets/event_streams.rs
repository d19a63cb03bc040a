#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| memory_bank_fuzz::target("event_streams")(data));
