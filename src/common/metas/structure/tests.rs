use super::*;

fn init() {
    gst::init().expect("GStreamer starts");
}

fn text(of: &str) -> Result<String, &'static str> {
    read(of).map(|read| read.structure.to_string())
}

#[test]
fn what_gstreamer_writes_is_read_as_it_was() {
    init();
    let inner =
        gst::Structure::builder("in/ner").field("x", 1_i32).field("s", "a \"b\" \\ \u{e4}, [").build();
    let list = gst::List::new([1_i32.to_send_value(), 2_i32.to_send_value()]);
    let array = gst::Array::new([gst::Fraction::new(1, 2), gst::Fraction::new(5, 1)]);
    let structure = gst::Structure::builder("detection")
        .field("confidence", 0.75_f64)
        .field("score", 0.5_f32)
        .field("label", "tr\u{e4}ffic light; 1")
        .field("empty", "")
        .field("null-like", "NULL")
        .field("count", u64::MAX)
        .field("least", i64::MIN)
        .field("yes", true)
        .field("rate", gst::Fraction::new(30_000, 1001))
        .field("mask", gst::Bitmask::new(0xff00))
        .field("state", gst::State::Playing)
        .field("bytes", gst::Buffer::from_slice([0_u8, 0x7f, 0xff]))
        .field("no-bytes", gst::Buffer::new())
        .field("seek", gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE)
        .field("list", list)
        .field("array", array)
        .field("nested", &inner)
        .field("deeper", gst::Structure::builder("two").field("inner", inner.clone()).build())
        .field("caps", "video/x-raw, a=(int){ 1, 2 }, b=(string)\"c d\"".parse::<gst::Caps>().expect("caps"))
        .build();
    let again = read(&structure.to_string()).expect("its own text");
    assert_eq!(again.left_out, 0);
    assert_eq!(again.structure, structure, "{structure}");
}

#[test]
fn what_people_type_is_guessed() {
    init();
    let typed =
        read("detection, confidence=0.9, id=7, label=person, box=<1, 2, 3>, ok=true, r=1/2;").expect("text");
    assert_eq!(typed.structure.get::<f64>("confidence"), Ok(0.9));
    assert_eq!(typed.structure.get::<i32>("id"), Ok(7));
    assert_eq!(typed.structure.get::<&str>("label"), Ok("person"));
    assert_eq!(typed.structure.get::<bool>("ok"), Ok(true));
    assert_eq!(typed.structure.get::<gst::Fraction>("r"), Ok(gst::Fraction::new(1, 2)));
    assert_eq!(typed.structure.get::<gst::ArrayRef<'_>>("box").map(|array| array.len()), Ok(3));
    assert_eq!(
        text("x, y=(structure)[z, a=(int)1], b=2").as_deref(),
        text("x, y=(structure)\"z, a=(int)1;\", b=2").as_deref()
    );
}

#[test]
fn what_is_of_an_unknown_type_is_left_out_and_counted() {
    init();
    let read = read("x, a=(GstSample)00ff, b=(int)[ 1, 5 ], c=(NoSuchType)x, d=<(GstSample)00, 1>, e=1")
        .expect("text");
    assert_eq!((read.left_out, read.structure.n_fields()), (4, 1));
}

#[test]
fn hostile_texts_are_errors_in_little_time() {
    init();
    for bad in [
        "",
        ",",
        "1x",
        "x y",
        "x,",
        "x, =1",
        "x, a",
        "x, a=",
        "x, a=(int",
        "x, a=(int)",
        "x, a=(int)y",
        "x, a=\"",
        "x, a=\"\\",
        "x, a=\\",
        "x, a=<1",
        "x, a=[1",
        "x, a=(structure)[y",
        "x, a=(structure)1",
        "x, a=(fraction)1/0",
        "x, a=1 2",
        "x, a=(fraction)-2147483648/-1",
        "x, a=\"\\000\"",
        "x, a=\"\\377\"",
        "x, a=(GstCaps)\"{\"",
        "x, a=(uint)-1",
        "x, a=(GstBuffer)0",
        "x, a=(GstBuffer)0g",
        "x, a=(GstBuffer)\"+1\"",
        "x]",
        "x, a=<1, b>",
        "x, a={ <>, b }",
        "x, a={ <1>, <b> }",
        "x, a=<1, (uint)1>",
        "x, a=(GstState)\"[\"",
    ] {
        assert!(read(bad).is_err() || bad == "x,", "{bad}");
    }
    let mib16 = 16 << 20;
    for (start, middle, end) in [
        ("x, a=", "<", ""),
        ("x, a=", "(structure)[y, a=", ""),
        ("x, a=\"", "\\\\", "\""),
        ("x", ", a=1", ""),
        ("x, a=<1", ",1", ">"),
        ("x, a=\"", "a", "\""),
        ("x, a=", "a", ""),
        ("x", "x", ""),
        ("x", " ", ""),
        ("x, a=1", ";", ""),
    ] {
        let text = format!("{start}{}{end}", middle.repeat(mib16 / middle.len()));
        let began = std::time::Instant::now();
        drop(read(&text));
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{start}{middle}");
    }
    // Fields without end, each of another name.
    let text: String =
        std::iter::once("x".to_owned()).chain((0..100_000).map(|n| format!(", a{n}=1"))).collect();
    assert!(read(&text).is_err());
}

proptest::proptest! {
    /// GLib ends this process if GStreamer takes something for granted that is not so.
    #[test]
    fn any_text_is_read_or_refused(parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..30)) {
        init();
        glib::log_set_always_fatal(glib::LogLevels::LEVEL_CRITICAL);
        let text = format!("x, a={}", parts.concat());
        if let Ok(first) = read(&text) {
            let again = read(&first.structure.to_string());
            proptest::prop_assert!(again.is_ok_and(|again| again.structure == first.structure), "{text}");
        }
    }
}

const PARTS: &[&str] = &[
    "1",
    "-5",
    "2.5",
    "1/2",
    "abc",
    "true",
    "NULL",
    "\"\"",
    "\"a b\"",
    "\\",
    "\"",
    "\\\"",
    "\\303",
    "<",
    ">",
    "{",
    "}",
    "[",
    "]",
    "(int)",
    "(uint)",
    "(string)",
    "(double)",
    "(boolean)",
    "(fraction)",
    "(bitmask)",
    "(structure)",
    "(GstState)",
    "(GstBuffer)",
    "00fF",
    "(GstCaps)",
    "(GstSeekFlags)",
    "(datetime)",
    "(date)",
    "playing",
    "flush+accurate",
    "2024-02-29",
    "2024-02-30",
    "2024",
    "y",
    ", b=",
    ", c=",
    ",",
    ";",
    " ",
    "=",
    "video/x-raw",
    "99999999999",
    "0xff",
    "\u{e4}",
];
