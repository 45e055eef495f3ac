//! The dashboard's files.

use super::*;

/// What a build could have made.
static BUILT: File = File {
    name: "assets/index-abc12345.js",
    tag: "1",
    plain: b"let plain;",
    br: Some(b"brotli"),
    gzip: Some(b"gzip"),
};
static SHELL: File = File { name: "index.html", tag: "2", plain: b"<!doctype html>", br: None, gzip: None };

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
}

async fn body(response: Response) -> Vec<u8> {
    axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()
}

#[test]
fn the_table_has_a_page_and_no_packed_form_by_itself() {
    let names: Vec<_> = FILES.iter().map(|file| file.name).collect();
    assert!(names.contains(&INDEX), "{names:?}");
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    for file in FILES {
        assert!(!file.plain.is_empty() && !file.tag.is_empty(), "{}", file.name);
        assert!(content_type(file.name) != "application/octet-stream", "{}", file.name);
        let smaller = |packed: &&[u8]| packed.len() < file.plain.len();
        assert!(file.br.iter().chain(&file.gzip).all(smaller), "{}", file.name);
    }
    let page = FILES.iter().find(|file| file.name == INDEX).unwrap();
    let page = std::str::from_utf8(page.plain).unwrap();
    // faults: U2
    for inline in ["<style", "style=", "javascript:", "onclick=", "onload="] {
        assert!(!page.contains(inline), "{inline}");
    }
    let scripts = page.matches("<script").count();
    assert_eq!(page.matches(" src=\"/assets/").count().min(scripts), scripts, "inline scripts: {page}");
    let _: Router = router();
}

// faults: U2
#[tokio::test]
async fn a_file_comes_in_the_form_that_is_wanted_and_is_kept_for_a_year() {
    for (wanted, coding, content, tag) in [
        ("", None, &b"let plain;"[..], "\"1\""),
        ("br, gzip", Some("br"), b"brotli", "\"1-br\""),
        ("gzip", Some("gzip"), b"gzip", "\"1-gzip\""),
    ] {
        let answer = BUILT.answer(&headers(&[(header::ACCEPT_ENCODING, wanted)]));
        assert_eq!(answer.status(), 200);
        let found = answer.headers().clone();
        assert_eq!(found.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap()), coding);
        assert_eq!(found[header::ETAG], tag);
        assert_eq!(found[header::VARY], "accept-encoding");
        assert_eq!(found[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(found[header::CACHE_CONTROL], FOR_EVER);
        for (name, value) in guards() {
            assert_eq!(found[name], value);
        }
        assert_eq!(body(answer).await, content);
    }
}

#[tokio::test]
async fn the_page_is_asked_for_each_time_and_sent_when_it_is_another_one() {
    let answer = SHELL.answer(&headers(&[(header::ACCEPT_ENCODING, "br")]));
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-cache");
    assert_eq!(answer.headers()[header::ETAG], "\"2\"");
    for known in ["\"2\"", "\"1\", \"2\"", "W/\"2\"", "*"] {
        let answer = SHELL.answer(&headers(&[(header::IF_NONE_MATCH, known)]));
        assert_eq!(answer.status(), 304, "{known}");
        assert!(answer.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        assert_eq!(answer.headers()[header::ETAG], "\"2\"");
        assert!(!answer.headers().contains_key(header::CONTENT_TYPE) && body(answer).await.is_empty());
    }
    for other in ["\"1\"", "2", "\"2-br\"", ""] {
        assert_eq!(SHELL.answer(&headers(&[(header::IF_NONE_MATCH, other)])).status(), 200, "{other}");
    }
}
