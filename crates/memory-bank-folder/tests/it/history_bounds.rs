//! The bounds of the history: a full file gives up its oldest versions, and an erasure follows every name.

use memory_bank_core::document::DocumentPath;
use memory_bank_core::store::HistoryStore;

use crate::history::{file, kept, rename, versions, write};
use crate::support::caller;

#[tokio::test]
async fn the_history_of_large_texts_goes_on_when_its_file_is_full() {
    let kept = kept();
    for number in 0..90 {
        let letter = char::from(b'a' + u8::try_from(number % 26).unwrap());
        let line = format!("{number} {}\n", letter.to_string().repeat(89));
        write(&kept.bank, "a.md", &line.repeat(9_500)).await;
    }
    let found = versions(&kept.bank, "a.md").await;
    assert_eq!(found.last().unwrap().0.number, 90, "every write has its version");
    assert!(found.last().unwrap().1.as_deref().is_some_and(|text| text.starts_with("89 l")));
    assert!(std::fs::metadata(file(&kept)).unwrap().len() < 64 * 1024 * 1024);
}

#[tokio::test]
async fn an_erasure_follows_more_names_than_a_reader() {
    let kept = kept();
    write(&kept.bank, "s0.md", "a secret").await;
    write(&kept.bank, "s0.md", "clean").await;
    for number in 0..205 {
        rename(&kept.bank, &format!("s{number}.md"), &format!("s{}.md", number + 1)).await;
    }
    let name = DocumentPath::parse("s205.md").unwrap();
    assert_eq!(kept.bank.erase(&caller(), &name).await.unwrap(), 207);
}
