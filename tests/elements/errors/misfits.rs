//! What a viewer is told when the elements after its source do not take the frames.

use crate::support::{Running, Topic, until};

#[test]
fn the_error_names_the_element_that_changes_what_does_not_fit_and_both_sides_caps() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=30/1,\
         pixel-aspect-ratio=1/1,interlace-mode=progressive ! {}",
        topic.sink("")
    ));
    until("it publishes", || producer.stat("sink", "published") > 0);
    let all = ["videorate", "videoscale", "videoconvert", "deinterlace"];
    let cases = [
        ("framerate=25/1", "framerate=(fraction)25/1", vec!["videorate"]),
        ("framerate=[1/1,10/1]", "framerate=(fraction)[ 1/1, 10/1 ]", vec!["videorate"]),
        ("width=640,height=480", "width=(int)640", vec!["videoscale"]),
        ("pixel-aspect-ratio=4/3", "pixel-aspect-ratio=(fraction)4/3", vec!["videoscale"]),
        ("format=BGRx", "format=(string)BGRx", vec!["videoconvert"]),
        ("interlace-mode=interleaved", "interlace-mode=(string)interleaved", vec!["deinterlace"]),
        ("width=640,framerate=25/1", "width=(int)640", vec!["videoscale", "videorate"]),
    ];
    // All at once, since each is patient with the producer for a while.
    let viewers: Vec<_> = cases
        .iter()
        .map(|(wanted, ..)| {
            let source = topic.src("");
            Running::playing(&format!("{source} ! video/x-raw,{wanted} ! appsink name=out sync=false"))
        })
        .collect();
    for ((wanted, accepted, helpers), viewer) in cases.into_iter().zip(&viewers) {
        let error = viewer.wait_error();
        let (text, debug) = error.split_once(" | ").expect("both");
        for element in all {
            assert_eq!(text.contains(element), helpers.contains(&element), "{wanted}, {element}: {error}");
        }
        assert!(text.contains("after shmflowsrc"), "{wanted}: {error}");
        for caps in ["framerate=(fraction)30/1", "width=(int)320", "format=(string)I420", accepted] {
            assert!(debug.contains(caps), "{wanted}, {caps}: {error}");
        }
    }
    assert_eq!(producer.error(), None);
}
