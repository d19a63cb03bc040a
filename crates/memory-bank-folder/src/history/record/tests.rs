use memory_bank_core::clock::SystemEntropy;

use super::*;

pub(in crate::history) const NAME: &str = "a.md";

pub(in crate::history) fn record(number: i64) -> Record {
    let facts = Facts {
        document: Uuid::from_u128(7),
        number,
        kind: Kind::Changed,
        path: NAME.to_owned(),
        other: None,
        at: Timestamp::UNIX_EPOCH,
        author: Some("alice".to_owned()),
        key: None,
        session: None,
        tool: None,
        before: None,
        after: Some(Etag::of("x").as_str().to_owned()),
        bytes: 1,
        start: 0,
        end: 0,
        former: 0,
        inserted: 0,
        whole: false,
        imported: false,
        place: None,
        over: None,
    };
    Record::new(facts, None, Some("x"))
}

/// The numbers of the records of a file, and whether each is this user's.
fn read(bytes: &[u8], seal: &Seal) -> Vec<(i64, bool)> {
    let name = file_name(&DocumentPath::parse(NAME).unwrap());
    let contents = read_all(bytes, &name, Some(seal));
    assert_eq!(contents.damaged, 0);
    contents.records.iter().map(|record| (record.facts.number, record.is_own)).collect()
}

#[test]
fn a_record_that_is_repeated_moved_or_without_those_before_it_is_not_this_users() {
    let seal = Seal::new(&SystemEntropy);
    let name = file_name(&DocumentPath::parse(NAME).unwrap());
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for number in 1..=3 {
        let place = parts.iter().map(Vec::len).sum::<usize>() as u64;
        parts.push(record(number).to_bytes(&name, place, &seal).unwrap());
    }
    let [one, two, three] = &parts[..] else { panic!("three records") };
    let whole = parts.concat();
    assert_eq!(read(&whole, &seal), [(1, true), (2, true), (3, true)]);
    assert_eq!(read(&[&whole[..], one, two].concat(), &seal), [(1, true), (2, true), (3, true)]);
    assert_eq!(read(&[&one[..], three].concat(), &seal), [(1, true), (3, false)]);
    assert_eq!(read(&[&two[..], one, three].concat(), &seal)[..2], [(2, false), (1, false)]);
    let name = file_name(&DocumentPath::parse(NAME).unwrap());
    let copy = [&whole[..], one].concat();
    let last = read_one(one, whole.len(), &name, Some(&seal)).unwrap();
    assert!(last.is_misplaced && !last.is_own);
    assert_eq!(read_all(&copy, &name, Some(&seal)).last().unwrap().facts.number, 3);
}

#[test]
fn records_of_an_earlier_program_have_no_place_and_come_first() {
    let seal = Seal::new(&SystemEntropy);
    let name = file_name(&DocumentPath::parse(NAME).unwrap());
    let former = |number| record(number).encoded(&record(number).facts, &name, &seal).unwrap();
    let old = [former(1), former(2)].concat();
    let new = record(3).to_bytes(&name, old.len() as u64, &seal).unwrap();
    assert_eq!(read(&[&old[..], &new].concat(), &seal), [(1, true), (2, true), (3, true)]);
    let planted = record(9).encoded(&record(9).facts, &name, &seal).unwrap();
    assert_eq!(read(&[&old[..], &new, &planted].concat(), &seal)[3], (9, false));
}
