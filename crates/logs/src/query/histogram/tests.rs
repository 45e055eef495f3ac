use super::*;

#[test]
fn each_grain_is_a_multiple_of_the_one_before() {
    assert!(GRAINS.windows(2).all(|pair| pair[1] > pair[0] && pair[1] % pair[0] == 0));
}

#[test]
fn counts_are_the_same_however_coarse() {
    let mut counter = Counter { interval: 1, fixed: false, counts: BTreeMap::new(), damaged: 0 };
    for n in 0..100_000 {
        counter.add(WallMillis(1_768_213_800_000 + n * 7), Level::ALL[n as usize % 4]);
        assert!(counter.counts.len() <= COUNTED);
    }
    let (since, until) = (WallMillis(1_768_213_800_000), WallMillis(1_768_213_800_000 + 700_000));
    fit(&mut counter, since, until, 60).unwrap();
    let listed = listed(&counter, since, until, true);
    assert_eq!((listed.interval, listed.total, listed.buckets.len()), (30_000, 100_000, 24));
    assert!(listed.buckets.iter().all(|bucket| {
        bucket.levels.iter().all(|&count| count == bucket.levels[0] || bucket.levels[0].abs_diff(count) <= 1)
    }));
}

#[test]
fn a_time_that_has_no_end_is_too_much() {
    let mut counter = Counter { interval: 1000, fixed: true, counts: BTreeMap::new(), damaged: 0 };
    assert!(matches!(
        fit(&mut counter, WallMillis(0), WallMillis(2_000_000), 1000),
        Err(QueryError::Buckets(1000))
    ));
    assert!(fit(&mut counter, WallMillis(0), WallMillis(999_999), 1000).is_ok());
    counter.fixed = false;
    assert!(fit(&mut counter, WallMillis(0), WallMillis(u64::MAX), 1000).is_err());
    assert!(
        fit(&mut Counter { interval: 1, ..counter }, WallMillis(0), WallMillis(1_768_213_800_000), 60)
            .is_ok()
    );
}
