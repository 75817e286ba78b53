//! Structs, and what writes and reads the fields of anything that looks like one.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::super::ast::{Field, Message};
use super::{
    decode_any, field, field_schema, impl_message, impl_object, impl_serialize, index_function, own, place,
    slot,
};

/// Everything for a struct.
pub(super) fn message(message: &Message, fields: &[Field]) -> TokenStream {
    let ident = &message.ident;
    let rust = message.rust_name();
    let own = |field: &Field| {
        let ident = &field.ident;
        quote!(&self.#ident)
    };
    let schema =
        schema(&message.name.value, fields.iter().map(field_schema), &message.reserved(), &message.docs);
    let mut code = impl_message(
        ident,
        &len(fields, own),
        &write(fields, own),
        &decode(fields),
        &read(fields, &rust),
        &schema,
    );
    code.extend(impl_serialize(&quote!(#ident), &quote!(), &serialize(fields, own)));
    code.extend(impl_object(ident, &rust, &from_entries(fields, &rust)));
    code
}

/// How many bytes the fields take; `own` gives a reference to each.
pub(super) fn len(fields: &[Field], own: impl Fn(&Field) -> TokenStream) -> TokenStream {
    let lens = fields.iter().map(|it| {
        let (of, own, tag) = (field(&it.ty, "encoded_len"), own(it), it.tag.value);
        quote!(#of(#own, #tag))
    });
    quote!(0 #(+ #lens)*)
}

/// Appends the fields to `out`.
pub(super) fn write(fields: &[Field], own: impl Fn(&Field) -> TokenStream) -> TokenStream {
    let writes = fields.iter().map(|it| {
        let (of, own, tag) = (field(&it.ty, "encode"), own(it), it.tag.value);
        quote!(#of(#own, #tag, out);)
    });
    quote!(#(#writes)*)
}

/// Reads `bytes`. A field that is alone may be able to take them as they are.
fn decode(fields: &[Field]) -> TokenStream {
    let [only] = fields else { return decode_any() };
    let (ident, alone, tag, bytes) = (&only.ident, field(&only.ty, "alone"), only.tag.value, own("bytes"));
    let any = decode_any();
    let alone = quote_spanned!(only.ty.span()=> #alone(#tag, #bytes));
    quote! {
        match #alone {
            ::rpc_core::private::result::Result::Ok(#ident) => {
                ::rpc_core::private::result::Result::Ok(Self { #ident })
            }
            ::rpc_core::private::result::Result::Err(bytes) => #any,
        }
    }
}

/// Reads `parts` into slots, and makes `Self` of them, in `place`.
pub(super) fn read(fields: &[Field], rust: &str) -> TokenStream {
    let slots = fields.iter().enumerate().map(|(at, it)| {
        let (slot, of) = (slot(at, it.ty.span()), field(&it.ty, "Slot"));
        quote_spanned!(it.ty.span()=> let mut #slot: #of<'_> = ::rpc_core::private::default::Default::default();)
    });
    let (wire, reader, input) = (own("wire"), own("reader"), own("input"));
    let arms = fields.iter().enumerate().map(|(at, it)| {
        let (slot, of, tag, name) =
            (slot(at, it.ty.span()), field(&it.ty, "read"), it.tag.value, &it.name.value);
        quote_spanned! {it.ty.span()=>
            #tag => #of(&mut #slot, #wire, &mut #reader).map_err(|error| error.within(#rust, #name))?,
        }
    });
    let finishes = fields.iter().enumerate().map(|(at, it)| {
        let (slot, field_place, of, name) =
            (slot(at, it.ty.span()), place(at, it.ty.span()), field(&it.ty, "finish"), &it.name.value);
        quote_spanned! {it.ty.span()=>
            let mut #field_place = ::rpc_core::private::option::Option::None;
            #of(#slot, #input, &mut #field_place).map_err(|error| error.within(#rust, #name))?;
        }
    });
    let fields = fields.iter().enumerate().map(|(at, it)| {
        let (ident, place) = (&it.ident, place(at, it.ty.span()));
        quote!(#ident: ::rpc_core::private::field::there(#place.take())?,)
    });
    quote! {
        #(#slots)*
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
        #(#finishes)*
        // A function of its own: the message itself is on the stack there, and not while what is nested is read.
        let mut finish = || {
            *place = ::rpc_core::private::option::Option::Some(Self { #(#fields)* });
            ::rpc_core::private::result::Result::Ok(())
        };
        finish()
    }
}

/// Writes the fields as a JSON object.
pub(super) fn serialize(fields: &[Field], own: impl Fn(&Field) -> TokenStream) -> TokenStream {
    let counts = fields.iter().map(|it| {
        let (of, own) = (field(&it.ty, "is_omitted"), own(it));
        quote!(usize::from(!#of(#own)))
    });
    let entries = fields.iter().map(|it| {
        let (of, own, json) = (field(&it.ty, "to_entry"), own(it), &it.json);
        quote!(#of(#own, #json, &mut map)?;)
    });
    quote! {
        let len = 0 #(+ #counts)*;
        let mut map = ::rpc_core::private::serde::Serializer::serialize_map(
            serializer,
            ::rpc_core::private::option::Option::Some(len),
        )?;
        #(#entries)*
        ::rpc_core::private::serde::ser::SerializeMap::end(map)
    }
}

/// Reads a JSON object's entries into slots, and makes `Self` of them, in `place`.
pub(super) fn from_entries(fields: &[Field], rust: &str) -> TokenStream {
    let index = index_function(fields.iter().map(|it| (it.name.value.as_str(), it.json.as_str())));
    let slots = fields.iter().enumerate().map(|(at, it)| {
        let (slot, ty) = (slot(at, it.ty.span()), &it.ty);
        quote! {
            let mut #slot: ::rpc_core::private::field::json::Slot<#ty> =
                ::rpc_core::private::default::Default::default();
        }
    });
    let arms = fields.iter().enumerate().map(|(at, it)| {
        let (slot, of, json) = (slot(at, it.ty.span()), field(&it.ty, "from_entry"), &it.json);
        quote!(#at => #of(&mut #slot, #json, &mut map)?,)
    });
    let finishes = fields.iter().enumerate().map(|(at, it)| {
        let (slot, of, ident, json) =
            (slot(at, it.ty.span()), field(&it.ty, "finish_entry"), &it.ident, &it.json);
        quote!(#ident: #of(::rpc_core::private::mem::take(&mut #slot), #rust, #json)?,)
    });
    quote! {
        #index
        #(#slots)*
        while let ::rpc_core::private::option::Option::Some(index) =
            map.next_key_seed(::rpc_core::private::field::json::Key(index))?
        {
            match index {
                #(#arms)*
                _ => ::rpc_core::private::field::json::skip(&mut map)?,
            }
        }
        // A function of its own: the message itself is on the stack there, and not while what is nested is read.
        let mut finish = || {
            *place = ::rpc_core::private::option::Option::Some(Self { #(#finishes)* });
            ::rpc_core::private::result::Result::Ok(())
        };
        finish()
    }
}

/// The schema, made by the compiler.
pub(super) fn schema(
    name: &str,
    fields: impl Iterator<Item = TokenStream>,
    reserved: &[u32],
    docs: &str,
) -> TokenStream {
    quote! {
        // Constants in place, where `Self` still means the type.
        ::rpc_core::private::option::Option::Some(const {
            &::rpc_core::private::field::MessageSchema::new(
                #name,
                const { &[#(#fields),*] },
                &[#(#reserved),*],
                #docs,
            )
        })
    }
}
