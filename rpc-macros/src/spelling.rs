//! What can be told of a type from how it is written.
//!
//! A macro sees tokens, not types. Whether an argument is a scalar (and so becomes a field of a generated message) or
//! a message (and so is the body itself) is therefore decided by its spelling. What the spelling cannot tell, an alias
//! of a scalar for instance, the expansion leaves to assertions that the compiler evaluates.

use quote::ToTokens;
use syn::{GenericArgument, Path, PathArguments, Type};

use crate::ctxt::Ctxt;

/// Types that are fields, never bodies.
const SCALARS: [&str; 13] = [
    "bool", "i32", "i64", "u32", "u64", "f32", "f64", "String", "Bytes", "Vec", "Option", "HashMap",
    "BTreeMap",
];

/// Types that protobuf has no field for, and what to take in their place.
const REFUSED: [(&str, &str); 9] = [
    ("i8", "i32"),
    ("i16", "i32"),
    ("u8", "u32"),
    ("u16", "u32"),
    ("isize", "i64"),
    ("usize", "u64"),
    ("i128", "Vec<u8>"),
    ("u128", "Vec<u8>"),
    ("char", "String"),
];

/// Whether the type is `()`.
pub(crate) fn is_unit(ty: &Type) -> bool {
    match bare(ty) {
        Type::Tuple(tuple) => tuple.elems.is_empty(),
        _ => false,
    }
}

/// Whether the type is a scalar, list, option or map: something that needs a message around it.
pub(crate) fn is_scalar(ty: &Type) -> bool {
    path(ty)
        .and_then(|path| path.segments.last())
        .is_some_and(|last| SCALARS.iter().any(|name| last.ident == name))
}

/// `T` and `E` of a `Result<T, E>`, under any path that ends so.
pub(crate) fn result(ty: &Type) -> Option<(&Type, &Type)> {
    let last = path(ty)?.segments.last()?;
    let PathArguments::AngleBracketed(args) = &last.arguments else { return None };
    let mut args = args.args.iter();
    match (last.ident == "Result", args.next(), args.next(), args.next()) {
        (true, Some(GenericArgument::Type(output)), Some(GenericArgument::Type(error)), None) => {
            Some((output, error))
        }
        _ => None,
    }
}

/// Whether the type is a stream, under any path that ends in `Streaming`.
pub(crate) fn is_streaming(ty: &Type) -> bool {
    path(ty).and_then(|path| path.segments.last()).is_some_and(|last| last.ident == "Streaming")
}

/// The type of the items of a `Streaming<T>`.
pub(crate) fn items(ty: &Type) -> Option<&Type> {
    let last = path(ty)?.segments.last()?;
    let PathArguments::AngleBracketed(args) = &last.arguments else { return None };
    let mut args = args.args.iter();
    match (last.ident == "Streaming", args.next(), args.next()) {
        (true, Some(GenericArgument::Type(item)), None) => Some(item),
        _ => None,
    }
}

/// Whether the type may be an argument or a reply of its own: what [`check`] lets through, or a stream of that.
pub(crate) fn check_whole(ty: &Type, cx: &Ctxt) -> bool {
    if !is_streaming(ty) {
        return check(ty, cx);
    }
    match items(ty) {
        Some(item) => is_unit(item) || check(item, cx),
        None => {
            cx.error(ty, "name the type of the items, and nothing else: `Streaming<Tick>`");
            false
        }
    }
}

/// Whether the type may be a message or a field of one, as far as its spelling shows; if not, says what to write.
pub(crate) fn check(ty: &Type, cx: &Ctxt) -> bool {
    let refusal = match bare(ty) {
        Type::Path(of) => return check_path(ty, &of.path, cx),
        // What a macro in the place of a type stands for is the compiler's to judge.
        Type::Macro(_) => return true,
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(of) if of.path.is_ident("str") => {
                "a reference cannot travel: take it by value, as a `String`".to_owned()
            }
            Type::Slice(slice) => {
                format!("a reference cannot travel: take it by value, as a `Vec<{}>`", spell(&*slice.elem))
            }
            Type::TraitObject(_) => trait_refusal("dyn Trait"),
            elem => format!("a reference cannot travel: take it by value, as `{}`", spell(elem)),
        },
        Type::ImplTrait(_) => trait_refusal("impl Trait"),
        Type::TraitObject(_) => trait_refusal("dyn Trait"),
        Type::Tuple(tuple) if tuple.elems.is_empty() => "`()` carries nothing: leave it out".to_owned(),
        Type::Tuple(_) => {
            "a tuple has no names for its fields: take several arguments, or a `#[message]` struct".into()
        }
        Type::Array(_) | Type::Slice(_) => "a list of fixed length cannot travel: take a `Vec`".to_owned(),
        Type::Infer(_) => "name the type: both sides have to know it".to_owned(),
        _ => "this type cannot travel: take a scalar, a `Vec`, an `Option`, a map or a `#[message]` type"
            .to_owned(),
    };
    cx.error(ty, refusal);
    false
}

fn check_path(ty: &Type, path: &Path, cx: &Ctxt) -> bool {
    if path.segments.first().is_some_and(|first| first.ident == "Self") {
        cx.error(
            ty,
            "`Self` is a different type at the client and at the server: name the type that travels",
        );
        return false;
    }
    if let Some((name, other)) = REFUSED.iter().find(|(name, _)| path.is_ident(name)) {
        cx.error(ty, format_args!("`{name}` does not travel: protobuf has no such field; take `{other}`"));
        return false;
    }
    let Some(last) = path.segments.last() else { return true };
    if last.ident == "Streaming" {
        cx.error(
            ty,
            "a stream is all of a request or all of a reply, not a part of one: take it as the only argument, or \
             return a `Result<Streaming<T>, E>`",
        );
        return false;
    }
    let PathArguments::AngleBracketed(args) = &last.arguments else { return true };
    let mut good = true;
    for arg in &args.args {
        good &= match arg {
            // Bytes, the one list of a type that does not travel alone.
            GenericArgument::Type(Type::Path(of)) if last.ident == "Vec" && of.path.is_ident("u8") => true,
            GenericArgument::Type(ty) if is_unit(ty) => true,
            GenericArgument::Type(ty) => check(ty, cx),
            GenericArgument::Lifetime(lifetime) if lifetime.ident != "static" => {
                cx.error(lifetime, "what travels borrows nothing: take an owned type");
                false
            }
            _ => true,
        };
    }
    good
}

fn trait_refusal(spelling: &str) -> String {
    format!(
        "`{spelling}` cannot travel, the other side would not know its type: name the type, or take a `#[message]` enum"
    )
}

fn path(ty: &Type) -> Option<&Path> {
    match bare(ty) {
        Type::Path(of) if of.qself.is_none() => Some(&of.path),
        _ => None,
    }
}

/// The type without the parentheses and invisible groups (macros by example put them) round it.
fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        ty => ty,
    }
}

/// A type as a person would write it: tokens have a space between any two.
pub(crate) fn spell(ty: &impl ToTokens) -> String {
    let tokens = ty.to_token_stream().to_string();
    tokens
        .replace(" :: ", "::")
        .replace(":: ", "::")
        .replace(" <", "<")
        .replace("< ", "<")
        .replace(" >", ">")
        .replace(" ,", ",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn scalars_are_known_by_the_end_of_their_path() {
        for ty in [
            "u32",
            "String",
            "std::string::String",
            "bytes::Bytes",
            "Vec<Account>",
            "::std::option::Option<u8>",
        ] {
            assert!(is_scalar(&syn::parse_str(ty).unwrap()), "{ty}");
        }
        for ty in ["Account", "Vector", "my::Reply<String>", "<T as Trait>::String"] {
            assert!(!is_scalar(&syn::parse_str(ty).unwrap()), "{ty}");
        }
    }

    #[test]
    fn results_have_two_types() {
        assert!(result(&parse_quote!(Result<String, Status>)).is_some());
        assert!(result(&parse_quote!(std::result::Result<(), E>)).is_some());
        assert!(result(&parse_quote!(Result<String>)).is_none());
        assert!(result(&parse_quote!(Option<String>)).is_none());
    }

    #[test]
    fn streams_are_known_by_the_end_of_their_path() {
        for ty in ["Streaming<u32>", "rpc_core::Streaming<Tick>", "::rpc_core::Streaming<Tick>"] {
            let ty = syn::parse_str(ty).unwrap();
            assert!(is_streaming(&ty) && items(&ty).is_some());
        }
        assert!(items(&parse_quote!(Streaming)).is_none());
        assert!(items(&parse_quote!(Streaming<A, B>)).is_none());
        assert!(!is_streaming(&parse_quote!(Stream<u32>)));
    }

    #[test]
    fn types_are_spelled_as_people_do() {
        let ty: Type = parse_quote!(std::collections::HashMap<String, Vec<u8>>);
        assert_eq!(spell(&ty), "std::collections::HashMap<String, Vec<u8>>");
    }
}
