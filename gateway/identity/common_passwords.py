"""The passwords that guessers try first, of eight characters or more, case-folded."""

_WORDS = """
00000000 0123456789 01234567 11111111 111111111 1111111111 112233445566 11223344 12121212 123123123 1234512345 12341234
12344321 12345678 123456789 1234567890 12345678910 123456789a 12345678a 1234qwer 123abc123 123qweasd 147258369 1q2w3e4r
1q2w3e4r5t 1qaz2wsx 1qaz2wsx3edc 20202020 22222222 55555555 66666666 77777777 87654321 88888888 987654321 9876543210
99999999 a1234567 a12345678 a123456789 aa123456 aaaaaaaa abc12345 abcd1234 abcdefgh abcdefghi access14 admin123
admin1234 administrator adminadmin alexander arsenal1 asdasdasd asdf1234 asdfasdf asdfghjk asdfghjkl babygirl baseball
baseball1 basketball benjamin birthday blink182 butterfly butthead changeme changeme1 changeme123 charlie1 charlotte
chocolate computer computer1 corvette cowboys1 danielle december default1 dragon123 einstein elephant elizabeth
facebook fireball football football1 forever1 friendship garfield gfhjkm123 hahahaha hello123 hello1234 helloworld
hunter12 iloveyou iloveyou1 iloveyou2 internet jennifer jessica1 jonathan jordan23 juventus karlmarx kristina letmein1
letmein123 liverpool liverpool1 lovelove loveyou1 manchester marlboro master123 maverick melissa1 mercedes metallica
michael1 michelle midnight minecraft monkey123 mustang1 mynoob123 nicholas november p@$$w0rd p@ssw0rd p@ssword pa$$w0rd
pa55word pakistan passw0rd passw0rd1 password password! password0 password01 password1 password1! password11 password12
password123 password1234 password12345 password2 password3 passwort patricia patrick1 pokemon1 princess princess1
q1w2e3r4 q1w2e3r4t5 qazwsxedc qqqqqqqq qwer1234 qwerasdf qwert123 qwertyui qwertyuiop qwerty12 qwerty123 qwerty1234
qwerty12345 qwerty123456 remember rockyou1 samantha samsung1 scorpion secret123 september serenity shadow123 slipknot
snickers softball spiderman sporting starwars starwars1 steelers stephanie sunflower sunshine sunshine1 superman
superman1 superstar swordfish test1234 testtest thailand thunder1 tinkerbell trustno1 undertaker valentina veronica
victoria warcraft welcome1 welcome123 whatever william1 windows10 wordpass xxxxxxxx yankees1 yourname zaq12wsx zaq1zaq1
zxcvbnm1 zxcvbnm123 zzzzzzzz
"""

COMMON_PASSWORDS = frozenset(_WORDS.split())
