//! Writes the code. It names nothing but what is in `::rpc_core::private`, and drives everything by the types of the
//! fields: what a type cannot do is the compiler's to say, on that type.

mod enumeration;
mod oneof;
mod record;

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use super::ast::{Field, Kind, Message};

/// All that makes the item travel, in a scope of its own.
pub(super) fn message(message: &Message) -> TokenStream {
    let code = match &message.kind {
        Kind::Record(fields) => record::message(message, fields),
        Kind::Oneof(members) => oneof::message(message, members),
        Kind::Enumeration(values) => enumeration::value(message, values),
    };
    in_scope(&code)
}

/// Helper types must not be seen, and a user's lints have no business with the code.
pub(super) fn in_scope(code: &TokenStream) -> TokenStream {
    quote! {
        #[doc(hidden)]
        #[allow(
            clippy::all,
            clippy::pedantic,
            clippy::nursery,
            deprecated,
            missing_debug_implementations,
            missing_docs,
            non_camel_case_types,
            unreachable_code,
            unreachable_pub,
            unused_qualifications,
            unused_variables,
            unused_mut
        )]
        const _: () = { #code };
    }
}

/// Something of the type as a field, all on the type's span: that is where the compiler says what it cannot do, and
/// only once, since it drops what it has said of the same place.
fn field(ty: &Type, of: &str) -> TokenStream {
    let (span, of) = (ty.span(), Ident::new(of, ty.span()));
    quote_spanned!(span=> <#ty as ::rpc_core::private::field::Field>::#of)
}

/// Something of the type as a value in a variant.
fn value(ty: &Type, of: &str) -> TokenStream {
    let (span, of) = (ty.span(), Ident::new(of, ty.span()));
    quote_spanned!(span=> <#ty as ::rpc_core::private::field::Value>::#of)
}

/// The variable that collects what was read of the field at this place, on the span of its type.
fn slot(at: usize, span: Span) -> Ident {
    Ident::new(&format!("slot_{at}"), span)
}

/// The variable that the field at this place is put into once it was read.
fn place(at: usize, span: Span) -> Ident {
    Ident::new(&format!("place_{at}"), span)
}

/// A variable of the code around, for code on the span of a type: a type that comes out of a macro by example has a
/// context of its own there, in which the name alone would not be found.
fn own(name: &str) -> Ident {
    Ident::new(name, Span::call_site())
}

/// Reads `bytes`, whatever the message is.
fn decode_any() -> TokenStream {
    quote!(::rpc_core::private::field::decode(&bytes))
}

/// The implementation of `Message`, from its parts.
fn impl_message(
    ident: &Ident,
    len: &TokenStream,
    write: &TokenStream,
    decode: &TokenStream,
    read: &TokenStream,
    schema: &TokenStream,
) -> TokenStream {
    let deserialize = impl_deserialize(ident);
    quote! {
        #[automatically_derived]
        impl ::rpc_core::private::Message for #ident {
            #[inline]
            fn encode(&self, out: &mut ::rpc_core::private::BytesMut) { #write }

            #[inline]
            fn encoded_len(&self) -> usize { #len }

            #[inline]
            fn decode(
                bytes: ::rpc_core::private::Bytes,
            ) -> ::rpc_core::private::result::Result<Self, ::rpc_core::private::DecodeError> {
                #decode
            }

            #[inline]
            fn decode_parts(
                parts: ::rpc_core::private::field::Parts<'_>,
                input: ::rpc_core::private::field::Input<'_>,
                place: &mut ::rpc_core::private::option::Option<Self>,
            ) -> ::rpc_core::private::result::Result<(), ::rpc_core::private::DecodeError> { #read }

            fn schema() -> ::rpc_core::private::option::Option<
                &'static ::rpc_core::private::field::MessageSchema
            > { #schema }
        }

        ::rpc_core::private::field::message_field!(#ident, object);

        #deserialize
    }
}

/// The implementation of serde's `Deserialize` for what reads a JSON object.
fn impl_deserialize(ident: &Ident) -> TokenStream {
    quote! {
        #[automatically_derived]
        impl<'de> ::rpc_core::private::serde::Deserialize<'de> for #ident {
            fn deserialize<__D: ::rpc_core::private::serde::Deserializer<'de>>(
                deserializer: __D,
            ) -> ::rpc_core::private::result::Result<Self, __D::Error> {
                ::rpc_core::private::field::json::deserialize(deserializer)
            }
        }
    }
}

/// The implementation of serde's `Serialize`, from its body.
fn impl_serialize(target: &TokenStream, generics: &TokenStream, body: &TokenStream) -> TokenStream {
    quote! {
        #[automatically_derived]
        impl #generics ::rpc_core::private::serde::Serialize for #target {
            fn serialize<__S: ::rpc_core::private::serde::Serializer>(
                &self,
                serializer: __S,
            ) -> ::rpc_core::private::result::Result<__S::Ok, __S::Error> { #body }
        }
    }
}

/// The implementation of what reads a JSON object, from its body.
fn impl_object(ident: &Ident, name: &str, body: &TokenStream) -> TokenStream {
    quote! {
        #[automatically_derived]
        impl ::rpc_core::private::field::json::Object for #ident {
            const NAME: &'static str = #name;

            fn from_entries<'de, __A: ::rpc_core::private::serde::de::MapAccess<'de>>(
                mut map: __A,
                place: &mut ::rpc_core::private::option::Option<Self>,
            ) -> ::rpc_core::private::result::Result<(), __A::Error> { #body }
        }
    }
}

/// A function from the names of an object's entries to their places.
fn index_function<'a>(names: impl Iterator<Item = (&'a str, &'a str)>) -> TokenStream {
    let arms = names.enumerate().map(|(at, (name, json))| {
        let names = if name == json { quote!(#name) } else { quote!(#json | #name) };
        quote!(#names => #at,)
    });
    quote! {
        fn index(name: &str) -> usize {
            match name { #(#arms)* _ => usize::MAX }
        }
    }
}

/// A field in the schema.
fn field_schema(field: &Field) -> TokenStream {
    let (name, json, tag, docs) = (&field.name.value, &field.json, field.tag.value, &field.docs);
    let (label, ty) = (self::field(&field.ty, "LABEL"), self::field(&field.ty, "TYPE"));
    quote!(::rpc_core::private::field::FieldSchema::new(#name, #json, #tag, #label, #ty, #docs))
}

/// `Self` in a type, for use outside of the type's own implementations.
fn without_self(ty: &Type, ident: &Ident) -> TokenStream {
    fn replace(tokens: TokenStream, ident: &Ident) -> TokenStream {
        let one = |token| match token {
            TokenTree::Ident(word) if word == "Self" => {
                let mut name = ident.clone();
                name.set_span(word.span());
                TokenTree::Ident(name)
            }
            TokenTree::Group(group) => {
                let mut replaced = Group::new(group.delimiter(), replace(group.stream(), ident));
                replaced.set_span(group.span());
                TokenTree::Group(replaced)
            }
            other => other,
        };
        tokens.into_iter().map(one).collect()
    }
    replace(ty.to_token_stream(), ident)
}
