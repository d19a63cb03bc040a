#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| memory_bank_fuzz::target("requests")(data));
