//! Enums with data: a message with one oneof.
//!
//! A variant that looks like a struct is a message of its own on the wire, for which there are two helper types: one
//! of references, from which it is written, and one that owns, into which it is read.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use super::super::ast::{Body, Field, Member, Message};
use super::super::name;
use super::{
    decode_any, impl_message, impl_object, impl_serialize, index_function, own, record, slot, value,
    without_self,
};

/// Everything for an enum with data.
pub(super) fn message(message: &Message, members: &[Member]) -> TokenStream {
    let (ident, rust) = (&message.ident, message.rust_name());
    let (other, members): (Vec<&Member>, Vec<&Member>) = members.iter().partition(|it| it.other.is_some());
    let other = other.first().map(|it| &it.ident);

    let schema = schema(message, &members);
    let read = read(&members, other, &rust);
    let mut code =
        impl_message(ident, &len(&members, other), &write(&members, other), &decode_any(), &read, &schema);
    code.extend(impl_serialize(&quote!(#ident), &quote!(), &serialize(&members, other)));
    code.extend(impl_object(ident, &rust, &from_entries(&members, other, &rust)));
    for member in members {
        if let Body::Fields(fields) = &member.body {
            code.extend(helpers(message, &member.ident, fields));
        }
    }
    code
}

fn owned(variant: &Ident) -> Ident {
    format_ident!("__Owned_{}", name::plain(variant))
}

fn borrowed(variant: &Ident) -> Ident {
    format_ident!("__Ref_{}", name::plain(variant))
}

/// A pattern that binds the fields under names that collide with nothing, and the references made of them.
fn borrow(variant: &Ident, fields: &[Field]) -> (TokenStream, TokenStream) {
    let helper = borrowed(variant);
    let names: Vec<&Ident> = fields.iter().map(|it| &it.ident).collect();
    let bound: Vec<Ident> = (0..fields.len()).map(|at| format_ident!("field_{at}")).collect();
    (quote!(Self::#variant { #(#names: #bound),* }), quote!(#helper { #(#names: #bound,)* __lives: &() }))
}

fn len(members: &[&Member], other: Option<&Ident>) -> TokenStream {
    let arms = members.iter().map(|it| {
        let (variant, tag) = (&it.ident, it.tag.value);
        match &it.body {
            Body::Single(ty) => {
                let of = value(ty, "keyed_len");
                quote!(Self::#variant(it) => #of(it, #tag),)
            }
            Body::Fields(fields) => {
                let (pattern, refs) = borrow(variant, fields);
                quote!(#pattern => ::rpc_core::private::field::delimited_len(#tag, #refs.len()),)
            }
            Body::Unit => quote!(Self::#variant => ::rpc_core::private::field::delimited_len(#tag, 0),),
        }
    });
    let other = other.map(|variant| quote!(Self::#variant => 0,));
    quote!(match self { #(#arms)* #other })
}

fn write(members: &[&Member], other: Option<&Ident>) -> TokenStream {
    let arms = members.iter().map(|it| {
        let (variant, tag) = (&it.ident, it.tag.value);
        match &it.body {
            Body::Single(ty) => {
                let of = value(ty, "put");
                quote!(Self::#variant(it) => #of(it, #tag, out),)
            }
            Body::Fields(fields) => {
                let (pattern, refs) = borrow(variant, fields);
                quote! {
                    #pattern => {
                        let it = #refs;
                        ::rpc_core::private::field::put_delimiter(#tag, it.len(), out);
                        it.write(out);
                    }
                }
            }
            Body::Unit => {
                quote!(Self::#variant => ::rpc_core::private::field::put_delimiter(#tag, 0, out),)
            }
        }
    });
    let other = other.map(|variant| quote!(Self::#variant => {}));
    quote!(match self { #(#arms)* #other })
}

/// Each member has a slot; the last one that came is the value, which goes to `place`, and one that comes again after another starts anew.
fn read(members: &[&Member], other: Option<&Ident>, rust: &str) -> TokenStream {
    let slots = members.iter().enumerate().map(|(at, it)| {
        let slot = slot(at, it.span());
        match &it.body {
            Body::Single(ty) => {
                let of = value(ty, "Slot");
                quote_spanned!(ty.span()=> let mut #slot: #of<'_> = ::rpc_core::private::default::Default::default();)
            }
            _ => quote! {
                let mut #slot: ::rpc_core::private::field::Parts<'_> =
                    ::rpc_core::private::default::Default::default();
            },
        }
    });
    let (wire, reader) = (own("wire"), own("reader"));
    let arms = members.iter().enumerate().map(|(at, it)| {
        let (slot, tag, name) = (slot(at, it.span()), it.tag.value, &it.name.value);
        let fill = match &it.body {
            Body::Single(ty) => {
                let of = value(ty, "fill");
                quote_spanned!(ty.span()=> #of(&mut #slot, #wire, &mut #reader))
            }
            _ => quote!(#slot.fill(wire, &mut reader)),
        };
        quote! {
            #tag => {
                if last != #tag {
                    #slot = ::rpc_core::private::default::Default::default();
                    last = #tag;
                }
                #fill.map_err(|error| error.within(#rust, #name))?;
            }
        }
    });
    let takes = members.iter().enumerate().map(|(at, it)| {
        let (slot, tag, variant, name) = (slot(at, it.span()), it.tag.value, &it.ident, &it.name.value);
        let (take, wrap) = match &it.body {
            Body::Single(ty) => {
                let of = value(ty, "take");
                (quote!(#of(#slot, input, it)), quote!(Self::#variant))
            }
            Body::Fields(fields) => {
                let owned = owned(variant);
                let names = fields.iter().map(|it| &it.ident);
                let take = quote! {
                    input.deeper::<#owned>().and_then(|input| #owned::decode_parts(#slot, input, it))
                };
                (take, quote!(|it: #owned| Self::#variant { #(#names: it.#names),* }))
            }
            Body::Unit => (
                quote!(::rpc_core::private::field::take_message::<::rpc_core::private::Empty>(#slot, input, it)),
                quote!(|_| Self::#variant),
            ),
        };
        quote! {
            #tag => ::rpc_core::private::field::member(place, #wrap, |it| #take)
                .map_err(|error| error.within(#rust, #name))?,
        }
    });
    let absent = match other {
        Some(variant) => quote!(*place = ::rpc_core::private::option::Option::Some(Self::#variant);),
        None => {
            quote!(return ::rpc_core::private::result::Result::Err(
                ::rpc_core::private::field::no_member(#rust)
            );)
        }
    };
    quote! {
        #(#slots)*
        let mut last = 0u32;
        for part in parts.iter() {
            let mut reader = ::rpc_core::private::field::Reader::new(part, input);
            while let ::rpc_core::private::option::Option::Some((tag, wire)) =
                reader.field().map_err(|error| error.within(#rust, ""))?
            {
                match tag {
                    #(#arms)*
                    _ => reader.skip(tag, wire).map_err(|error| error.within(#rust, ""))?,
                }
            }
        }
        match last {
            #(#takes)*
            _ => {}
        }
        if place.is_none() {
            #absent
        }
        ::rpc_core::private::result::Result::Ok(())
    }
}

fn serialize(members: &[&Member], other: Option<&Ident>) -> TokenStream {
    let arms = members.iter().map(|it| {
        let (variant, json) = (&it.ident, &it.json);
        match &it.body {
            Body::Single(ty) => {
                let of = value(ty, "to_entry");
                quote!(Self::#variant(it) => #of(it, #json, &mut map)?,)
            }
            Body::Fields(fields) => {
                let (pattern, refs) = borrow(variant, fields);
                quote!(#pattern => map.serialize_entry(#json, &#refs)?,)
            }
            Body::Unit => quote!(Self::#variant => map.serialize_entry(#json, &::rpc_core::private::Empty)?,),
        }
    });
    let (count, other) = match other {
        Some(variant) => {
            (quote!(if let Self::#variant = self { 0 } else { 1 }), quote!(Self::#variant => {}))
        }
        None => (quote!(1), quote!()),
    };
    quote! {
        use ::rpc_core::private::serde::ser::SerializeMap as _;
        let mut map = ::rpc_core::private::serde::Serializer::serialize_map(
            serializer,
            ::rpc_core::private::option::Option::Some(#count),
        )?;
        match self { #(#arms)* #other }
        map.end()
    }
}

fn from_entries(members: &[&Member], other: Option<&Ident>, rust: &str) -> TokenStream {
    let index = index_function(members.iter().map(|it| (it.name.value.as_str(), it.json.as_str())));
    let count = members.len();
    let arms = members.iter().enumerate().map(|(at, it)| {
        let variant = &it.ident;
        match &it.body {
            Body::Single(ty) => {
                let of = value(ty, "from_entry");
                quote!(#at => #of(&mut map, place, Self::#variant, #rust)?,)
            }
            Body::Fields(fields) => {
                let owned = owned(variant);
                let names = fields.iter().map(|it| &it.ident);
                quote! {
                    #at => ::rpc_core::private::field::json::fields::<#owned, Self, __A>(
                        &mut map, place, |it| Self::#variant { #(#names: it.#names),* }, #rust
                    )?,
                }
            }
            Body::Unit => quote! {
                #at => ::rpc_core::private::field::json::member::<::rpc_core::private::Empty, Self, __A>(
                    &mut map, place, |_| Self::#variant, #rust
                )?,
            },
        }
    });
    let absent = match other {
        Some(variant) => quote!(*place = ::rpc_core::private::option::Option::Some(Self::#variant);),
        None => {
            quote!(return ::rpc_core::private::result::Result::Err(
                ::rpc_core::private::field::json::no_member(#rust)
            );)
        }
    };
    quote! {
        #index
        let mut seen = [false; #count];
        while let ::rpc_core::private::option::Option::Some(index) =
            map.next_key_seed(::rpc_core::private::field::json::Key(index))?
        {
            ::rpc_core::private::field::json::once(&mut seen, index, #rust)?;
            match index {
                #(#arms)*
                _ => ::rpc_core::private::field::json::skip(&mut map)?,
            }
        }
        if place.is_none() {
            #absent
        }
        ::rpc_core::private::result::Result::Ok(())
    }
}

fn schema(message: &Message, members: &[&Member]) -> TokenStream {
    let fields = members.iter().map(|it| {
        let (name, json, tag, docs) = (&it.name.value, &it.json, it.tag.value, &it.docs);
        let ty = match &it.body {
            Body::Single(ty) => {
                let of = value(ty, "TYPE");
                quote!(#of)
            }
            Body::Fields(_) => {
                let owned = owned(&it.ident);
                quote!(::rpc_core::private::field::Type::Message(#owned::schema))
            }
            Body::Unit => quote!(<::rpc_core::private::Empty as ::rpc_core::private::field::Value>::TYPE),
        };
        quote! {
            ::rpc_core::private::field::FieldSchema::new(
                #name, #json, #tag, ::rpc_core::private::field::Label::Member, #ty, #docs
            )
        }
    });
    record::schema(&message.name.value, fields, &message.reserved(), &message.docs)
}

/// The helper types of a variant that looks like a struct.
fn helpers(message: &Message, variant: &Ident, fields: &[Field]) -> TokenStream {
    let (owned, borrowed) = (owned(variant), borrowed(variant));
    let variant = name::plain(variant);
    let rust = format!("{}::{variant}", message.rust_name());
    let full_name = format!("{}.{variant}", message.name.value);
    // `Self` would mean the helper.
    let fields: Vec<Field> = fields
        .iter()
        .map(|it| Field { ty: syn::Type::Verbatim(without_self(&it.ty, &message.ident)), ..it.clone() })
        .collect();
    let (names, types): (Vec<_>, Vec<_>) = fields.iter().map(|it| (&it.ident, &it.ty)).unzip();
    let own = |field: &Field| {
        let ident = &field.ident;
        quote!(self.#ident)
    };
    let (len, write, read) =
        (record::len(&fields, own), record::write(&fields, own), record::read(&fields, &rust));
    let schema = record::schema(&full_name, fields.iter().map(super::field_schema), &[], "");
    let serialize = impl_serialize(&quote!(#borrowed<'_>), &quote!(), &record::serialize(&fields, own));
    let object = impl_object(&owned, &rust, &record::from_entries(&fields, &rust));
    quote! {
        struct #owned { #(#names: #types,)* }

        // `__lives` uses the lifetime where there are no fields.
        struct #borrowed<'a> { #(#names: &'a #types,)* __lives: &'a () }

        impl #borrowed<'_> {
            #[inline]
            fn len(&self) -> usize { #len }

            #[inline]
            fn write(&self, out: &mut ::rpc_core::private::BytesMut) { #write }
        }

        impl #owned {
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

        #serialize
        #object
    }
}
