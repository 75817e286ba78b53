//! Errors: a method's own, with their fields, in both codecs; and what the framework says by itself.

use rpc_core::codec::{Json, Protobuf};
use rpc_core::{Channel, Code};

use crate::codecs::parcel;
use crate::contract::*;
use crate::page::{Page, Shown};
use crate::process::Process;

pub(crate) async fn show(page: &mut Page, process: &Process) -> Shown {
    page.title("Errors", "a method's own error arrives with its fields, whatever the codec");
    let heavy = || Parcel { grams: 90_000, ..parcel() };
    let sunken = || Parcel { to: Place { city: "Atlantis".into(), zip: None }, ..parcel() };
    let protobuf = PostClient::new(Channel::builder(process.address()).codec::<Protobuf>().build()?);
    let json = PostClient::new(Channel::builder(process.address()).codec::<Json>().build()?);
    for (codec, post) in [("protobuf", &protobuf), ("json", &json)] {
        let error = post.price(heavy()).await.err().ok_or("a heavy parcel was taken")?;
        page.row(codec, &format!("{error:?}"));
        page.check(
            matches!(error, CounterError::TooHeavy { grams: 90_000, limit: 20_000 }),
            "an error's fields travel",
        )?;
        let error = post.price(sunken()).await.err().ok_or("Atlantis was reached")?;
        page.row("", &format!("{error:?}"));
        page.check(
            matches!(&error, CounterError::NoSuchPlace(place) if place == "Atlantis"),
            "an error's fields travel",
        )?;
    }

    let error = protobuf.stumble().await.err().ok_or("a panic gave a result")?;
    page.row("panic", &format!("{error}"));
    page.check(error.code() == Code::Internal, "a panic is INTERNAL")?;
    let echoed = protobuf.echo(1).await?;
    page.check(echoed == 1, "a panic ends its call and nothing else")?;

    // The post office has no desk: same process, another service.
    let desk = DeskClient::connect(process.address()).await?;
    let error = desk.deliver(1).await.err().ok_or("a service that is not there answered")?;
    page.row("not there", &format!("{error}"));
    page.row("", &format!("did it run? {:?}", error.certainty()));
    page.check(error.code() == Code::Unimplemented, "a missing service is UNIMPLEMENTED")?;
    page.check(error.certainty().is_safe_to_retry(), "a call to a missing service is known not to have run")
}
