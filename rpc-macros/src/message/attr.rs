//! What stands in `#[message(…)]`, on the item, its fields and its variants.

use proc_macro2::{Span, TokenStream};
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Ident, LitInt, LitStr, Token, parenthesized};

use super::Errors;

/// Where an attribute stands: what may be said depends on it.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    Item,
    Field,
    /// A variant of an enum without data.
    Value,
    /// A variant of an enum with data.
    Member,
}

/// A word of an attribute with what it was given.
#[derive(Clone)]
pub(super) struct At<T> {
    pub value: T,
    pub span: Span,
}

/// What was said.
#[derive(Default)]
pub(super) struct Attr {
    pub tag: Option<At<u32>>,
    pub name: Option<At<String>>,
    pub other: Option<Span>,
    pub reserved: Vec<At<u32>>,
}

impl Place {
    fn allows(self, word: &str) -> bool {
        match self {
            Self::Item => matches!(word, "name" | "reserved"),
            Self::Field => matches!(word, "name" | "tag"),
            Self::Value => matches!(word, "name" | "other"),
            Self::Member => matches!(word, "name" | "tag" | "other"),
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Item => "`name = \"demo.v1.Point\"` or `reserved(4, 5)`",
            Self::Field => "`tag = 3` or `name = \"…\"`",
            Self::Value => "`name = \"…\"` or `other`",
            Self::Member => "`tag = 3`, `name = \"…\"` or `other`",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Item => "a type",
            Self::Field => "a field",
            Self::Value => "a variant of an enum without data",
            Self::Member => "a variant",
        }
    }
}

impl Attr {
    /// What the attribute's own arguments say.
    pub(super) fn from_args(args: TokenStream, errors: &mut Errors) -> Self {
        let mut attr = Self::default();
        attr.read(args, Place::Item, errors);
        attr
    }

    /// What the `#[message(…)]` among these say; they are taken out.
    pub(super) fn take(attrs: &mut Vec<Attribute>, place: Place, errors: &mut Errors) -> Self {
        let mut attr = Self::default();
        attrs.retain(|attribute| {
            if !attribute.path().is_ident("message") {
                return true;
            }
            match attribute.meta.require_list() {
                Ok(list) => attr.read(list.tokens.clone(), place, errors),
                Err(_) => errors.push(
                    attribute.span(),
                    format!("`#[message]` on {} says something: {}", place.noun(), place.help()),
                ),
            }
            false
        });
        attr
    }

    fn read(&mut self, tokens: TokenStream, place: Place, errors: &mut Errors) {
        let parser = |input: ParseStream<'_>| {
            while !input.is_empty() {
                self.word(input, place, errors)?;
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        if let Err(error) = parser.parse2(tokens) {
            errors.0.push(error);
        }
    }

    fn word(&mut self, input: ParseStream<'_>, place: Place, errors: &mut Errors) -> syn::Result<()> {
        let word: Ident = input.parse()?;
        let span = word.span();
        let text = word.to_string();
        let twice = match text.as_str() {
            "tag" => {
                input.parse::<Token![=]>()?;
                let number: LitInt = input.parse()?;
                let tag = At { value: tag(&number), span: number.span() };
                self.tag.replace(tag).is_some()
            }
            "name" => {
                input.parse::<Token![=]>()?;
                let name: LitStr = input.parse()?;
                let name = At { value: name.value(), span: name.span() };
                self.name.replace(name).is_some()
            }
            "other" => self.other.replace(span).is_some(),
            "reserved" => {
                let numbers;
                parenthesized!(numbers in input);
                let numbers = Punctuated::<LitInt, Token![,]>::parse_terminated(&numbers)?;
                let numbers = numbers.iter().map(|number| At { value: tag(number), span: number.span() });
                self.reserved.extend(numbers);
                false
            }
            _ => {
                let what = format!(
                    "`{text}` is nothing that `#[message]` knows; on {} it takes {}",
                    place.noun(),
                    place.help()
                );
                return Err(syn::Error::new(span, what));
            }
        };
        if twice {
            errors.push(span, format!("`{text}` is said twice"));
        }
        if !place.allows(&text) {
            errors.push(
                span,
                format!("`{text}` has no meaning on {}, which takes {}", place.noun(), place.help()),
            );
        }
        Ok(())
    }
}

/// A number that no message can have stands for one that is too large: the check for that comes later.
fn tag(number: &LitInt) -> u32 {
    number.base10_parse().unwrap_or(u32::MAX)
}
